use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
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
    /// The gate wakes it, or this does: the deadline, a dial that is due, its turn after the others.
    Waiting(#[pin] Option<Sleep>),
    /// The call can't go.
    Failed(Option<Error>),
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>> + Clone,
    B: RequestBody,
{
    pub(super) fn new(mut call: WaitCall<S, B>, lease: Lease<S>, recorder: Recorder) -> Self {
        let state = match call.step(None) {
            Step::Go(request) => State::Attempt(Attempt::new(lease, request)),
            Step::Wait(_) => State::Waiting(None),
            Step::Fail(error) => State::Failed(Some(error)),
        };
        Self {
            state,
            call,
            recorder,
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
        let mut failed = false;
        loop {
            match this.state.as_mut().project() {
                StateProj::Attempt(attempt) => {
                    let Poll::Ready(outcome) = attempt.poll(cx) else {
                        this.call.goes_on();
                        return Poll::Pending;
                    };
                    match outcome.map_err(Error::from_inner) {
                        Ok(response) => {
                            let watch = Some(this.call.answered());
                            let body = |inner, recorder| WaitBody::new(inner, watch, recorder);
                            return Poll::Ready(this.recorder.hand_up(received(response), body));
                        }
                        Err(error) => {
                            if let Err(last) = this.call.after(error) {
                                return Poll::Ready(Err(this.recorder.failed(last)));
                            }
                            this.state.set(State::Waiting(None));
                            if std::mem::replace(&mut failed, true) {
                                // A service that fails without waiting must not keep the thread.
                                cx.waker().wake_by_ref();
                                return Poll::Pending;
                            }
                        }
                    }
                }
                StateProj::Waiting(mut timer) => match this.call.step(Some(cx.waker())) {
                    Step::Wait(until) => {
                        set(timer.as_mut(), until);
                        let due = timer.as_pin_mut().map(|timer| timer.poll(cx));
                        if due.is_none_or(|due| due.is_pending()) {
                            return Poll::Pending;
                        }
                    }
                    Step::Go(request) => {
                        let attempt = Attempt::when_ready(this.call.service(), request);
                        this.state.set(State::Attempt(attempt));
                    }
                    Step::Fail(error) => this.state.set(State::Failed(Some(error))),
                },
                // Like any future, it must not be polled after it was ready.
                StateProj::Failed(error) => {
                    return error.take().map_or(Poll::Pending, |error| {
                        Poll::Ready(Err(this.recorder.failed(error)))
                    });
                }
            }
        }
    }
}

/// The one timer of a waiting call.
fn set(mut timer: Pin<&mut Option<Sleep>>, until: Option<Instant>) {
    match (timer.as_mut().as_pin_mut(), until) {
        (Some(timer), Some(until)) if timer.deadline() == until => {}
        (Some(timer), Some(until)) => timer.reset(until),
        (None, Some(until)) => timer.set(Some(sleep_until(until))),
        (_, None) => timer.set(None),
    }
}
