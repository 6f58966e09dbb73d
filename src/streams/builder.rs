use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::backoff::Exponential;
use crate::call::BudgetSlot;
use crate::retry::{Policy, RetryPolicy};

use super::course::{Course, Rules};
use super::decision::Moment;
use super::held::{Held, Limits};
use super::invalid_stream::InvalidStream;
use super::opening::{Messages, Open, Resume, Template};
use super::resumable::{IsLost, Parts, Resumable, TokenOf};
use super::silence::Silence;
use super::{OnEnd, OnLost};
use crate::error::Faults;

/// The default backoff: quick after a restart of the server, and mild in a long outage.
const BACKOFF: (Duration, f64, Duration) =
    (Duration::from_millis(100), 2.0, Duration::from_secs(10));

/// Configures a [`Resumable`] stream. Setters never fail; [`build`](Self::build) reports all faults
/// at once.
///
/// ```
/// use grpc_resilience::RetryPolicy;
/// use grpc_resilience::grpc::Code;
/// use grpc_resilience::streams::{OnEnd, OnLost, Resumable};
/// use std::time::Duration;
/// use tonic::{Request, Response, Status, Streaming};
///
/// # async fn watch(_: Request<u64>) -> Result<Response<Streaming<u64>>, Status> {
/// #     Err(Status::unavailable("no server"))
/// # }
/// let builder = Resumable::builder(Request::new(0), watch)
///     .token(|revision: &u64| Some(*revision))
///     .resume(|_request, revision| revision + 1)
///     .on_end(OnEnd::Reopen)
///     .on_lost(OnLost::Restart)
///     .policy(RetryPolicy::until_deadline().retry_on(Code::ResourceExhausted))
///     .open_timeout(Duration::from_secs(5))
///     .idle_timeout(Duration::from_secs(60));
/// let stream = builder.build()?;
/// # Ok::<(), grpc_resilience::streams::InvalidStream>(())
/// ```
#[must_use = "it does nothing until `build` is called"]
pub struct Builder<Req, T, Token> {
    request: Request<Req>,
    open: Open<Req, T>,
    token: Option<TokenOf<T, Token>>,
    resume: Option<Resume<Req, Token>>,
    lost: Option<IsLost<T>>,
    start: Option<Token>,
    on_end: OnEnd,
    on_lost: OnLost,
    holds: bool,
    max_held: Option<usize>,
    max_held_bytes: Option<(usize, super::held::SizeOf<T>)>,
    policy: Arc<dyn Policy>,
    open_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    method: Option<Arc<str>>,
}

impl Resumable<(), ()> {
    /// Begins to build a stream of what `open` returns for a request: a closure that calls the
    /// method of a generated client, over any channel.
    ///
    /// The request's message, metadata and extensions are copied for each opening. Its timeout, if
    /// it has one, bounds the whole stream over all openings.
    pub fn builder<Req, T, Token, F, Fut, S>(
        request: Request<Req>,
        open: F,
    ) -> Builder<Req, T, Token>
    where
        Req: Clone + Send + 'static,
        F: FnMut(Request<Req>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<S>, Status>> + Send + 'static,
        S: Stream<Item = Result<T, Status>> + Send + 'static,
    {
        Builder::new(request, open)
    }
}

impl<Req, T, Token> Builder<Req, T, Token> {
    fn new<F, Fut, S>(request: Request<Req>, mut open: F) -> Self
    where
        F: FnMut(Request<Req>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<S>, Status>> + Send + 'static,
        S: Stream<Item = Result<T, Status>> + Send + 'static,
    {
        let (initial, multiplier, max) = BACKOFF;
        let backoff = Exponential::standard(initial, multiplier, max);
        let open: Open<Req, T> = Box::new(move |request| {
            let opening = open(request);
            Box::pin(async move {
                let response = opening.await?;
                Ok(response.map(|messages| Box::pin(messages) as Messages<T>))
            })
        });
        Self {
            request,
            open,
            token: None,
            resume: None,
            lost: None,
            start: None,
            on_end: OnEnd::default(),
            on_lost: OnLost::default(),
            holds: false,
            max_held: None,
            max_held_bytes: None,
            policy: Arc::new(RetryPolicy::until_deadline().backoff(backoff)),
            open_timeout: None,
            idle_timeout: None,
            method: None,
        }
    }

    /// Reads the token of a message: the place at which a stream can resume after it. Required.
    ///
    /// `None` for messages after which the stream can't resume, such as a part of a fragmented
    /// response. A server counts as having made progress only when a token differs from the last.
    pub fn token(mut self, token: impl FnMut(&T) -> Option<Token> + Send + 'static) -> Self {
        self.token = Some(Box::new(token));
        self
    }

    /// Makes the request that goes on after the message with this token, from the original request.
    /// Required.
    pub fn resume(mut self, resume: impl FnMut(&Req, Token) -> Req + Send + 'static) -> Self {
        self.resume = Some(Box::new(resume));
        self
    }

    /// Lets the first opening resume at this token, which an earlier process stored. Default: it
    /// sends the original request.
    pub fn start_at(mut self, token: Token) -> Self {
        self.start = Some(token);
        self
    }

    /// Sets what follows when the server ends the stream with OK. Default: [`OnEnd::Done`].
    pub fn on_end(mut self, on_end: OnEnd) -> Self {
        self.on_end = on_end;
        self
    }

    /// Sets what follows when the server no longer has the token. Default: [`OnLost::Fail`].
    pub fn on_lost(mut self, on_lost: OnLost) -> Self {
        self.on_lost = on_lost;
        self
    }

    /// Recognises a message by which the server says that it no longer has the token, as etcd does
    /// with `compact_revision`. Default: only statuses say so.
    ///
    /// Such a message is part of the [`Gap`](super::Gap). With [`OnLost::Fail`] it is handed on as
    /// an item before the stream fails.
    pub fn lost(mut self, lost: impl FnMut(&T) -> bool + Send + 'static) -> Self {
        self.lost = Some(Box::new(lost));
        self
    }

    /// Holds messages back until one of them has a token, so that no message is repeated although
    /// not each has one. Default: messages are handed on at once.
    pub fn hold_until_token(mut self) -> Self {
        self.holds = true;
        self
    }

    /// Limits the messages that are held. Default: 10,000.
    ///
    /// When one more comes, one WARN event says so, all are handed on, and so are further messages
    /// until the next token. If the stream breaks off before that token, resuming would repeat
    /// messages, so the token counts as lost: [`on_lost`](Self::on_lost) decides.
    pub fn max_held(mut self, items: usize) -> Self {
        self.max_held = Some(items);
        self
    }

    /// Limits the bytes of the messages that are held, as `size_of` measures them; prost's
    /// `Message::encoded_len` is such a measure. Default: no limit besides
    /// [`max_held`](Self::max_held), which says what happens beyond it.
    pub fn max_held_bytes(
        mut self,
        bytes: usize,
        size_of: impl Fn(&T) -> usize + Send + 'static,
    ) -> Self {
        self.max_held_bytes = Some((bytes, Box::new(size_of)));
        self
    }

    /// Sets which failures are followed by another opening, how many of them without a new token
    /// between, and after which wait. Default: [`RetryPolicy::until_deadline`] with a backoff from
    /// 100 ms, doubling to 10 s, full jitter.
    ///
    /// Whatever its codes, another opening follows a stream that broke off without a status, and
    /// at most two answers that refuse a token. The first opening is an attempt, too, so
    /// `max_attempts(1)` is a fault: with it the stream could never come back.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Limits each opening, up to the response headers. Default: no limit but those of the layers
    /// and the channel.
    ///
    /// There is no default because some servers, such as those of grpc-go, send the headers with
    /// the first message: a quiet stream would be opened again and again.
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = Some(timeout);
        self
    }

    /// Limits the time between two messages of a stream that is open; a longer silence counts as a
    /// stream that broke off. Default: no limit, because only the server knows how quiet a healthy
    /// stream is. HTTP/2 keepalive finds dead connections without it.
    ///
    /// It bounds the server's silence, not the caller's: it runs from the first poll that finds no
    /// message, and stands still while something has come that the caller has not polled.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// Names the method in events, as `/etcdserverpb.Watch/Watch`. Default: events name none,
    /// because only the generated client knows it.
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.into());
        self
    }
}

impl<Req, T, Token> Builder<Req, T, Token>
where
    Req: Clone + Send + 'static,
    T: 'static,
    Token: Clone + PartialEq + 'static,
{
    /// The stream, which opens when it is first polled.
    ///
    /// # Errors
    ///
    /// All faults of the settings at once: `token` or `resume` is missing, a limit or a timeout is
    /// zero, a limit of held messages has no effect, or the policy never retries or allows one
    /// attempt only.
    pub fn build(self) -> Result<Resumable<T, Token>, InvalidStream> {
        let faults = self.faults();
        let rules = self.rules();
        let (Some(token_of), Some(resume), true) = (self.token, self.resume, faults.is_empty())
        else {
            return Err(InvalidStream::new(faults));
        };
        let budget = BudgetSlot::default();
        let (template, timeout) = Template::new(self.request, &budget);
        let limits = self.holds.then(|| {
            let mut limits = Limits::default();
            limits.items = self.max_held.unwrap_or(limits.items);
            limits.bytes = self.max_held_bytes;
            limits
        });
        let parts = Parts {
            open: template.into_opener(self.open, resume),
            token_of,
            is_lost: self.lost,
            open_timeout: self.open_timeout,
            silence: self.idle_timeout.map(Silence::longest),
            timeout,
            method: self.method,
            budget,
        };
        let course = Course::new(rules, self.start);
        Ok(Resumable::new(parts, course, Held::new(limits)))
    }

    fn rules(&self) -> Rules {
        Rules {
            policy: Arc::clone(&self.policy),
            on_end: self.on_end,
            on_lost: self.on_lost,
        }
    }

    /// Whether the policy lets an opening follow the first one, whatever its codes.
    fn can_reopen(&self) -> bool {
        let moment = Moment {
            now: Instant::now(),
            unit: 0.0,
            remaining: None,
        };
        Course::<Token>::new(self.rules(), None).can_reopen(moment)
    }

    fn faults(&self) -> Faults {
        const ABOVE_ZERO: &str = "it must be greater than zero";
        const NEEDS_HOLD: &str = "it needs `hold_until_token`";
        const ONE_ATTEMPT: &str = "it allows one attempt, which is the first opening, so the \
                                   stream would never come back";
        let mut faults = Faults::default();
        let mut check = |setter, is_so, text: &str| faults.check(setter, is_so, || text.into());
        let is_set = "it must be set";
        check("token", self.token.is_some(), is_set);
        check("resume", self.resume.is_some(), is_set);
        check("max_held", self.max_held != Some(0), ABOVE_ZERO);
        let bytes = self.max_held_bytes.as_ref().map(|(bytes, _)| *bytes);
        check("max_held_bytes", bytes != Some(0), ABOVE_ZERO);
        let holds = self.holds;
        check("max_held", holds || self.max_held.is_none(), NEEDS_HOLD);
        check("max_held_bytes", holds || bytes.is_none(), NEEDS_HOLD);
        let never = "it never retries, so the stream would never come back";
        check("policy", !self.policy.is_off(), never);
        let is_off = self.policy.is_off();
        check("policy", is_off || self.can_reopen(), ONE_ATTEMPT);
        let is_zero = |it: Option<Duration>| it.is_some_and(|it| it.is_zero());
        check("open_timeout", !is_zero(self.open_timeout), ABOVE_ZERO);
        check("idle_timeout", !is_zero(self.idle_timeout), ABOVE_ZERO);
        faults
    }
}

impl<Req, T, Token> fmt::Debug for Builder<Req, T, Token> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("on_end", &self.on_end)
            .field("on_lost", &self.on_lost)
            .field("hold_until_token", &self.holds)
            .field("policy", &self.policy)
            .field("open_timeout", &self.open_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
