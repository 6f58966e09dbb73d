use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Instant;
use tonic::{Response, Status};

use crate::call::{BudgetSlot, Permit};
use crate::classify::Endpoint;
use crate::error::GiveUp;
use crate::events::Once;
use crate::grpc::Code;
use crate::kernel::rng::Rng;
use crate::kernel::timer::{Home, NoRuntime, Timer};
use crate::report::{StreamRecord, StreamReport};

use super::course::Course;
use super::failure::Failure;
use super::held::Held;
use super::opening::{Messages, Opener, Opening};
use super::silence::{Heard, Silence};
use super::{Event, Gap};

/// A server stream that comes back; see the [module](super).
///
/// It is a `Stream` of [`Event`]s. The first opening begins when it is first polled, and nothing
/// happens while it is not polled: it has no task. Dropping it ends the call at once.
///
/// After an error it is over. An error is the failure of the last opening, with
/// [`GiveUp::find`] as the reason why no other followed.
///
/// ```
/// use grpc_resilience::streams::{Event, Resumable};
/// use tonic::{Request, Response, Status};
///
/// # type Numbers = tokio_stream::Iter<std::vec::IntoIter<Result<u64, Status>>>;
/// # async fn numbers_from(request: Request<u64>) -> Result<Response<Numbers>, Status> {
/// #     let first = request.into_inner();
/// #     let mut items: Vec<_> = (first..4).map(Ok).collect();
/// #     if first == 1 { items.truncate(2); items.push(Err(Status::unavailable("restarting"))); }
/// #     Ok(Response::new(tokio_stream::iter(items)))
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Over a client: `move |request| { let mut client = client.clone(); async move { .. } }`.
/// let mut numbers = Resumable::builder(Request::new(1), numbers_from)
///     .token(|number| Some(*number))
///     .resume(|_first, last| last + 1)
///     .build()?;
///
/// let mut seen = Vec::new();
/// while let Some(event) = numbers.next().await {
///     if let Event::Item(number) = event? {
///         seen.push(number);
///     }
/// }
/// assert_eq!(seen, [1, 2, 3]); // The server broke off after 2.
/// assert_eq!(numbers.report().reopens(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Resumable<T, Token> {
    pub(super) parts: Parts<T, Token>,
    pub(super) course: Course<Token>,
    pub(super) state: State<T>,
    pub(super) held: Held<T>,
    /// What can be handed on.
    pub(super) ready: VecDeque<Ready<T, Token>>,
    /// The token of the last message that was handed on.
    handed_on: Option<Token>,
    /// The deadline of the whole stream.
    pub(super) deadline: Option<Timer>,
    pub(super) has_overflowed: Once,
    pub(super) record: StreamRecord,
    pub(super) rng: Rng,
    pub(super) home: Home,
}

/// Reads the token of a message.
pub(super) type TokenOf<T, Token> = Box<dyn FnMut(&T) -> Option<Token> + Send>;

/// Recognises a message that says that the token is lost.
pub(super) type IsLost<T> = Box<dyn FnMut(&T) -> bool + Send>;

/// The settings.
pub(super) struct Parts<T, Token> {
    pub(super) open: Opener<T, Token>,
    pub(super) token_of: TokenOf<T, Token>,
    pub(super) is_lost: Option<IsLost<T>>,
    pub(super) open_timeout: Option<Duration>,
    /// Measured anew for each opening.
    pub(super) silence: Option<Silence>,
    pub(super) timeout: Option<Duration>,
    pub(super) method: Option<Arc<str>>,
    pub(super) budget: BudgetSlot,
}

pub(super) enum State<T> {
    /// Before an opening.
    Waiting {
        timer: Option<Timer>,
        permit: Option<Permit>,
        /// The other tasks have not run since the last stream was dropped.
        is_dropped_now: bool,
    },
    Opening {
        opening: Opening<T>,
        bound: Option<Timer>,
    },
    Open {
        messages: Messages<T>,
        silence: Option<Silence>,
        endpoint: Option<Endpoint>,
    },
    Over,
}

pub(super) enum Ready<T, Token> {
    Item(T, Option<Token>),
    Gap(Gap<T, Token>),
    Failed(Status),
}

/// What a poll of the state led to.
enum Polled<T> {
    Opened(Response<Messages<T>>),
    Item(T),
    Ended,
    Failed(Failure),
    Due,
}

impl<T, Token: Clone + PartialEq> Resumable<T, Token> {
    pub(super) fn new(parts: Parts<T, Token>, course: Course<Token>, held: Held<T>) -> Self {
        Self {
            handed_on: course.token().cloned(),
            parts,
            course,
            state: State::Waiting {
                timer: None,
                permit: None,
                is_dropped_now: false,
            },
            held,
            ready: VecDeque::new(),
            deadline: None,
            has_overflowed: Once::new(),
            record: StreamRecord::new(),
            rng: Rng::default(),
            home: Home::here(),
        }
    }

    /// The next event; `None` once the stream is over.
    ///
    /// Cancel safe: if the future is dropped, no event is lost.
    ///
    /// # Errors
    ///
    /// The stream failed and is over.
    pub async fn next(&mut self) -> Option<Result<Event<T, Token>, Status>> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The token of the last message that was handed on, to be stored with what the messages led
    /// to. A later [`start_at`](super::Builder::start_at) goes on after it.
    #[must_use]
    pub fn token(&self) -> Option<&Token> {
        self.handed_on.as_ref()
    }

    /// Lets the next opening resume at this token: after a [`Gap`], when the caller has read the
    /// state again and knows how new it is. Messages of the stream that runs still come, and the
    /// token of one of them replaces this one.
    pub fn resume_from(&mut self, token: Token) {
        self.handed_on = Some(token.clone());
        self.course.resume_from(token);
        self.held.resumes();
    }

    /// What has happened so far, for any task to read.
    #[must_use]
    pub fn report(&self) -> StreamReport {
        self.record.report()
    }

    pub(super) fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Event<T, Token>, Status>>> {
        loop {
            match self.ready.pop_front() {
                Some(Ready::Item(item, token)) => {
                    if token.is_some() {
                        self.handed_on = token;
                    }
                    return Poll::Ready(Some(Ok(Event::Item(item))));
                }
                Some(Ready::Gap(gap)) => return Poll::Ready(Some(Ok(Event::Gap(gap)))),
                Some(Ready::Failed(status)) => return Poll::Ready(Some(Err(status))),
                None if matches!(self.state, State::Over) => return Poll::Ready(None),
                None => {}
            }
            let polled = match self.poll_deadline(cx) {
                Some(failure) => {
                    self.fail(failure, GiveUp::Deadline);
                    continue;
                }
                None => ready!(self.poll_state(cx)),
            };
            match polled {
                Polled::Due => self.open(),
                Polled::Opened(response) => self.opened(response),
                Polled::Item(item) => self.take(item),
                Polled::Ended => self.ended(),
                Polled::Failed(failure) => self.failed(failure),
            }
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Option<Failure> {
        let timeout = self.parts.timeout?;
        let home = &self.home;
        let timer = self
            .deadline
            .get_or_insert_with(|| home.timer_after(timeout));
        match timer.poll(cx) {
            Poll::Ready(Ok(())) => Some(Failure::expired(timeout)),
            Poll::Ready(Err(NoRuntime)) => Some(Failure::without_runtime()),
            Poll::Pending => None,
        }
    }

    fn poll_state(&mut self, cx: &mut Context<'_>) -> Poll<Polled<T>> {
        match &mut self.state {
            State::Waiting {
                is_dropped_now: is_dropped_now @ true,
                ..
            } => {
                // The connection's task writes the reset of the last stream meanwhile
                // (CONTRACT S5).
                *is_dropped_now = false;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            State::Waiting { timer, .. } => match timer {
                Some(timer) => Poll::Ready(match ready!(timer.poll(cx)) {
                    Ok(()) => Polled::Due,
                    Err(NoRuntime) => Polled::Failed(Failure::without_runtime()),
                }),
                None => Poll::Ready(Polled::Due),
            },
            State::Opening { opening, bound } => {
                if let Poll::Ready(opened) = opening.as_mut().poll(cx) {
                    return Poll::Ready(match opened {
                        Ok(response) => Polled::Opened(response),
                        Err(status) => Polled::Failed(Failure::of(status, None)),
                    });
                }
                let limit = self.parts.open_timeout;
                poll_bound(bound.as_mut(), cx, || {
                    let message = format!(
                        "the stream did not open within {:?}",
                        limit.unwrap_or_default()
                    );
                    Failure::timed_out(message, None)
                })
            }
            State::Open {
                messages,
                silence,
                endpoint,
            } => {
                let heard = match silence {
                    Some(silence) => ready!(silence.listen(messages.as_mut(), &self.home, cx)),
                    None => Heard::Next(ready!(messages.as_mut().poll_next(cx))),
                };
                Poll::Ready(match heard {
                    Heard::Next(Some(Ok(item))) => Polled::Item(item),
                    Heard::Next(Some(Err(status))) => {
                        Polled::Failed(Failure::of(status, endpoint.as_ref()))
                    }
                    Heard::Next(None) => Polled::Ended,
                    Heard::Nothing(limit) => {
                        let message = format!("no message came for {limit:?}");
                        Polled::Failed(Failure::timed_out(message, endpoint.as_ref()))
                    }
                    Heard::NoRuntime => Polled::Failed(Failure::without_runtime()),
                })
            }
            State::Over => Poll::Ready(Polled::Ended),
        }
    }
}

fn poll_bound<T>(
    timer: Option<&mut Timer>,
    cx: &mut Context<'_>,
    failure: impl FnOnce() -> Failure,
) -> Poll<Polled<T>> {
    let Some(timer) = timer else {
        return Poll::Pending;
    };
    Poll::Ready(Polled::Failed(match ready!(timer.poll(cx)) {
        Ok(()) => failure(),
        Err(NoRuntime) => Failure::without_runtime(),
    }))
}

impl<T, Token: Clone + PartialEq> Stream for Resumable<T, Token> {
    type Item = Result<Event<T, Token>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

/// No part of it is pinned by it.
impl<T, Token> Unpin for Resumable<T, Token> {}

impl<T, Token> Drop for Resumable<T, Token> {
    fn drop(&mut self) {
        self.record.ends(Code::Cancelled, None, Instant::now());
    }
}

impl<T, Token> fmt::Debug for Resumable<T, Token> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumable")
            .field("method", &self.parts.method)
            .field("report", &self.record.report())
            .finish_non_exhaustive()
    }
}
