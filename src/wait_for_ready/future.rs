use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

use crate::body::RequestBody;
use crate::dispatch::{Attempt, Lease, Recorder, received};
use crate::error::{BoxError, Error};

use super::WaitBody;
use super::call::{Step, WaitCall};

/// The future of [`WaitForReady`](super::WaitForReady).
#[pin_project]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
    B: RequestBody,
{
    #[pin]
    state: State<S, B>,
    call: WaitCall<S, B>,
    recorder: Recorder,
}

#[pin_project(project = StateProj)]
enum State<S, B>
where
    S: Service<Request<B>>,
{
    /// An attempt has no answer yet.
    Attempt(#[pin] Attempt<S, B>),
    /// The gate is closed.
    Waiting {
        #[pin]
        changed: OwnedNotified,
        #[pin]
        until: Sleep,
    },
    /// The call can't go.
    Failed(Option<Error>),
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>> + Clone,
    B: RequestBody,
{
    pub(super) fn new(mut call: WaitCall<S, B>, lease: Lease<S>, recorder: Recorder) -> Self {
        let state = State::next(&mut call, |_, request| Attempt::new(lease, request));
        Self {
            state,
            call,
            recorder,
        }
    }
}

impl<S, B> State<S, B>
where
    S: Service<Request<B>> + Clone,
    B: RequestBody,
{
    fn next(
        call: &mut WaitCall<S, B>,
        start: impl FnOnce(&WaitCall<S, B>, Request<B>) -> Attempt<S, B>,
    ) -> Self {
        let mut step = call.step();
        let mut changed = None;
        if let Step::Wait(_) = step {
            // Listen first, then ask again: a change between the two is not missed.
            changed = Some(call.changed());
            step = call.step();
        }
        match step {
            Step::Go(request) => Self::Attempt(start(call, request)),
            Step::Fail(error) => Self::Failed(Some(error)),
            Step::Wait(until) => Self::Waiting {
                changed: changed.unwrap_or_else(|| call.changed()),
                until: sleep_until(until),
            },
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<WaitBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Attempt(attempt) => {
                    let Poll::Ready(outcome) = attempt.poll(cx) else {
                        this.call.goes_on();
                        return Poll::Pending;
                    };
                    match outcome.map_err(Error::from_inner) {
                        Ok(response) => {
                            this.call.answered();
                            let answer = received(response);
                            return Poll::Ready(this.recorder.hand_up(answer, WaitBody::new));
                        }
                        Err(error) => {
                            if let Err(last) = this.call.after(error) {
                                return Poll::Ready(Err(this.recorder.failed(last)));
                            }
                        }
                    }
                }
                StateProj::Waiting { changed, until } => {
                    let woken = changed.poll(cx).is_ready();
                    let due = until.poll(cx).is_ready();
                    if !woken && !due {
                        return Poll::Pending;
                    }
                }
                // Like any future, it must not be polled after it was ready.
                StateProj::Failed(error) => {
                    return error.take().map_or(Poll::Pending, |error| {
                        Poll::Ready(Err(this.recorder.failed(error)))
                    });
                }
            }
            let next = State::next(this.call, |call, request| {
                Attempt::when_ready(call.service(), request)
            });
            this.state.set(next);
        }
    }
}
