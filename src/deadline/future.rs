use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::classify;
use crate::dispatch::{Attempt, Recorder, received};
use crate::error::{BoxError, Error};

use super::DeadlineBody;
use super::bound::Bound;

/// The future of [`DeadlineService`](super::DeadlineService).
#[pin_project]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    #[pin]
    state: State<S, B>,
    bound: Option<Bound>,
    recorder: Recorder,
}

#[pin_project(project = StateProj)]
enum State<S, B>
where
    S: Service<Request<B>>,
{
    Attempt(#[pin] Attempt<S, B>),
    Failed(Option<Error>),
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(attempt: Attempt<S, B>, bound: Option<Bound>, recorder: Recorder) -> Self {
        Self {
            state: State::Attempt(attempt),
            bound,
            recorder,
        }
    }

    pub(super) fn failed(error: Error, recorder: Recorder) -> Self {
        Self {
            state: State::Failed(Some(error)),
            bound: None,
            recorder,
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<DeadlineBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let attempt = match this.state.as_mut().project() {
            StateProj::Attempt(attempt) => attempt,
            // Like any future, it must not be polled after it was ready.
            StateProj::Failed(error) => {
                return error.take().map_or(Poll::Pending, |error| {
                    Poll::Ready(Err(this.recorder.failed(error)))
                });
            }
        };
        if let Poll::Ready(outcome) = attempt.poll(cx) {
            let mut bound = this.bound.take();
            let judged = judge(outcome, bound.as_mut());
            let body = |inner, recorder| DeadlineBody::new(inner, bound, recorder);
            return Poll::Ready(this.recorder.hand_up(judged, body));
        }
        let Some(bound) = this.bound else {
            return Poll::Pending;
        };
        bound.poll_over(cx).map(|error| {
            // Whoever keeps the future does not keep the attempt.
            let error = this.recorder.failed(error);
            this.state.set(State::Failed(None));
            Err(error)
        })
    }
}

/// The answer or the error; or the expiry that it is by another name.
fn judge<R, E>(
    outcome: Result<Response<R>, E>,
    bound: Option<&mut Bound>,
) -> Result<Response<R>, Error>
where
    E: Into<BoxError>,
{
    let outcome = outcome.map_err(Error::from_inner).and_then(received);
    let Some(bound) = bound else { return outcome };
    let response = outcome.map_err(|error| bound.name(error))?;
    let head = classify::head(response.status(), response.headers());
    match head.and_then(|(verdict, status)| bound.cancelled(verdict, status)) {
        Some(expiry) => Err(expiry),
        None => Ok(response),
    }
}
