use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tokio::time::Instant;

use super::connection::Why;
use super::core::Core;
use super::errors::{closed, queue_full, tell_wait};
use super::exchange::{Begun, Exchange, Look, Outgoing, Ready, ResponseBody, Slot, look, stamp};
use super::look::{Picked, Wish};
use super::terms::Terms;
use super::timing::Deadlined;
use super::unready::Unready;
use crate::classify::TransportError;
use crate::error::BoxError;
use crate::ready::Waiter;
use crate::report::Trace;

/// The future of a call of [`Channel`](super::Channel). Dropping it ends the call.
///
/// ```no_run
/// use grpc_resilience::channel::{Channel, ResponseFuture};
/// use tonic::body::Body;
/// use tower::Service as _;
///
/// # async fn call(mut channel: Channel, request: http::Request<Body>) {
/// let response: ResponseFuture<Body> = channel.call(request);
/// println!("{:?}", response.await.map(|it| it.status()));
/// # }
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<B: Body> {
    /// The fields are dropped in this order: the stream is reset before the channel may end.
    stage: Stage<B>,
    waiter: Option<Waiter>,
    /// Its wait while no connection was ready, if it had to.
    unready: Option<Box<Unready>>,
    terms: Terms,
    timer: Option<Deadlined>,
    /// h2 holds a stream of the connection: another look is to come after others have run.
    is_held: bool,
    core: Option<Arc<Core>>,
}

enum Stage<B: Body> {
    /// It is not sent. Whether its body was looked at.
    Waiting(Outgoing<B>, bool),
    Sent(Exchange),
    Over,
}

impl<B: Body> Stage<B> {
    /// That of a request that was not sent.
    fn path(&self) -> Option<&str> {
        match self {
            Self::Waiting(out, _) => out.head.as_ref().map(|head| head.uri().path()),
            Self::Sent(_) | Self::Over => None,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Stage<B> {
    /// Looks at the body of a request that was not sent, once.
    fn look(&mut self, cx: &mut Context<'_>) {
        let Self::Waiting(out, is_seen) = self else {
            return;
        };
        if !std::mem::replace(is_seen, true)
            && let Some(body) = &mut out.body
        {
            out.ready = match look(Pin::new(body), cx) {
                Look::Empty => Ready::Nothing,
                Look::Whole(bytes) => Ready::Whole(bytes),
                Look::Part { first, next } => Ready::Part(Box::new((first, next))),
            };
        }
    }

    /// The size of a request that was not sent, as far as it is known.
    fn bytes(&self) -> usize {
        match self {
            Self::Waiting(out, _) => out.bytes(),
            Self::Sent(_) | Self::Over => 0,
        }
    }
}

impl<B: Body> ResponseFuture<B> {
    pub(super) fn new(core: Arc<Core>, out: Outgoing<B>, terms: Terms) -> Self {
        Self {
            stage: Stage::Waiting(out, false),
            waiter: None,
            unready: None,
            terms,
            timer: None,
            is_held: false,
            core: Some(core),
        }
    }

    /// Ready once the deadline has passed. The timer is made when the call has to wait at all.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (Some(deadline), Some(core)) = (self.terms.deadline, &self.core) else {
            return Poll::Pending;
        };
        match &mut self.timer {
            Some(timer) => timer.poll(cx),
            None if self.terms.is_timed => {
                // The layer has looked whether it has passed already, and polls again then.
                self.timer = Some(Deadlined::timed_above(deadline));
                Poll::Pending
            }
            None => {
                let timer = Deadlined::new(deadline, &core.shared.home);
                self.timer.insert(timer).poll(cx)
            }
        }
    }

    /// A slot on a connection, in the caller's turn.
    fn poll_slot(&mut self, cx: &mut Context<'_>) -> Poll<Result<Slot, TransportError>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let Some(core) = &self.core else {
            return Poll::Pending;
        };
        let options = self.terms.options();
        let is_pinned = options.chosen_endpoint().is_some();
        let lines = &core.shared.lines;
        // A call that is alone in its line looks once more: a slot may have been freed before it
        // was in it.
        let mut is_first_look = self.waiter.is_none() && lines.is_free(is_pinned);
        loop {
            if let Some(waiter) = &self.waiter
                && !is_first_look
            {
                ready!(waiter.poll(cx));
            }
            if self.waiter.is_some() || is_first_look {
                let reserved = match &self.waiter {
                    Some(_) => 0,
                    None => lines.woken(),
                };
                let Stage::Waiting(
                    Outgoing {
                        head: Some(head), ..
                    },
                    _,
                ) = &self.stage
                else {
                    return Poll::Pending;
                };
                let wish = Wish {
                    head,
                    reserved,
                    earlier: self.terms.earlier(),
                    may_repeat: self.terms.may_repeat,
                    options,
                    now: core.now(),
                    has_more: core.has_more(),
                };
                match core.look(&wish, self.terms.is_patient) {
                    Ok(Picked::Slot(slot)) => {
                        if let Some(waiter) = self.waiter.take() {
                            waiter.served();
                            // The call behind may have come while this one's slot was not the only
                            // one; on whichever endpoint that is.
                            lines.free(u32::from(core.has_free_slot()));
                        }
                        return Poll::Ready(Ok(slot));
                    }
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if let Some(waiter) = &self.waiter {
                // What it waits for may have come while it looked, and woke no call, since this one
                // was in no line: so it looks once more.
                is_first_look = waiter.again();
            } else {
                let Some(waiter) = lines.enter(is_pinned, self.stage.bytes()) else {
                    return Poll::Ready(Err(queue_full(lines.calls(), lines.bytes())));
                };
                self.waiter = Some(waiter);
                is_first_look = lines.is_alone(is_pinned);
                if !self.terms.is_patient
                    && !is_first_look
                    && let Some(error) = core.refuses()
                {
                    // It does not wait behind calls that do.
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// The call is in the queue.
    fn waits(&mut self) {
        let Some(core) = &self.core else { return };
        let named = self.terms.named();
        if !core.is_unready(named) {
            return;
        }
        let trace = self.terms.trace.as_ref();
        let unready = Unready::begin(&mut self.unready, trace, Instant::now());
        if !unready.is_told()
            && let (Some(path), Some(last)) = (self.stage.path(), core.error(named))
            && unready.tells(trace)
        {
            let attempt = trace.map(Trace::attempts).filter(|number| *number > 0);
            tell_wait(path, attempt, &last);
        }
        if self.terms.waits() {
            self.timer = None;
        }
    }

    /// The call has a connection.
    #[cold]
    fn is_ready(&mut self) {
        let Some(unready) = &mut self.unready else {
            return;
        };
        let now = Instant::now();
        unready.end(self.terms.trace.as_ref(), now);
        if self.terms.begins(now) {
            self.timer = None;
        }
    }

    /// Sends the request, or leaves it for another connection.
    fn begin(
        &mut self,
        mut slot: Slot,
        has_waited: bool,
        cx: &mut Context<'_>,
    ) -> Result<(), TransportError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError> + Send,
    {
        self.stage.look(cx);
        let Stage::Waiting(out, _) = &mut self.stage else {
            return Ok(());
        };
        if let (true, Some(deadline), Some(head)) = (has_waited, self.terms.deadline, &mut out.head)
        {
            stamp(head, deadline);
        }
        slot.ends_by(self.terms.attempt.clone());
        match Exchange::begin(out, slot, cx) {
            Begun::Exchange(exchange) => self.stage = Stage::Sent(exchange),
            Begun::Back(Why::Gone) => {}
            Begun::Back(Why::Held) => {
                // h2 has yet to see what its peer allows.
                cx.waker().wake_by_ref();
                self.is_held = true;
            }
            Begun::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// The call goes on later, up to its deadline.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, TransportError>> {
        loop {
            ready!(self.poll_deadline(cx));
            if !self.terms.goes_on() {
                return Poll::Ready(Err(self.expired()));
            }
            self.timer = None;
        }
    }

    fn expired(&mut self) -> TransportError {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let core = self.core.as_ref();
        let last = core.and_then(|core| core.error(self.terms.named()));
        let timer = self.timer.take();
        let timer = timer.as_ref();
        let error = match &stage {
            Stage::Sent(exchange) => timer.map(|it| it.expired_at(exchange.endpoint())),
            _ => timer.map(|it| it.expired_in_queue(last)),
        };
        error.unwrap_or_else(|| closed(None))
    }
}

/// The body alone is pinned, and it is `Unpin`.
impl<B: Body + Unpin> Unpin for ResponseFuture<B> {}

impl<B> Future for ResponseFuture<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError> + Send,
{
    type Output = Result<Response<ResponseBody>, TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // A connection that leaves gives the request back, and the next one may leave, too.
        for _ in 0..TRIES {
            let polled = match &mut this.stage {
                Stage::Sent(exchange) => {
                    let (timer, terms, core) = (&mut this.timer, &this.terms, &this.core);
                    let deadline = || timer.take().or_else(|| terms.deadlined(core.as_deref()?));
                    exchange.poll(cx, deadline)
                }
                Stage::Waiting(..) => match this.poll_slot(cx) {
                    Poll::Ready(Ok(slot)) => {
                        let has_waited = this.timer.is_some();
                        if this.unready.is_some() {
                            this.is_ready();
                        }
                        match this.begin(slot, has_waited, cx) {
                            Ok(()) if std::mem::take(&mut this.is_held) => Poll::Pending,
                            Ok(()) => continue,
                            Err(error) => Poll::Ready(Err(error)),
                        }
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => {
                        this.waits();
                        Poll::Pending
                    }
                },
                Stage::Over => return Poll::Pending,
            };
            if let Poll::Ready(mut answer) = polled {
                if let Some(unready) = &this.unready
                    && this.terms.trace.is_none()
                {
                    answer = unready.noted(answer);
                }
                this.stage = Stage::Over;
                this.waiter = None;
                this.core = None;
                this.timer = None;
                return Poll::Ready(answer);
            }
            return this.wait(cx);
        }
        // Others have their turn first, such as the tasks of those connections.
        cx.waker().wake_by_ref();
        this.wait(cx)
    }
}

const TRIES: usize = 8;
