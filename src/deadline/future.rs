use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

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
    attempt: Attempt<S, B>,
    bound: Option<Bound>,
    recorder: Recorder,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(attempt: Attempt<S, B>, bound: Option<Bound>, recorder: Recorder) -> Self {
        Self {
            attempt,
            bound,
            recorder,
        }
    }

    pub(super) fn failed(error: Error, recorder: Recorder) -> Self {
        Self::new(Attempt::refused(error), None, recorder)
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
        if let Poll::Ready(outcome) = this.attempt.as_mut().poll(cx) {
            let bound = this.bound.take();
            let judged = judge(outcome, bound.as_ref());
            let body = |inner, recorder| DeadlineBody::new(inner, bound, recorder);
            return Poll::Ready(this.recorder.hand_up(judged, body));
        }
        let Some(bound) = this.bound else {
            return Poll::Pending;
        };
        let error = this.recorder.failed(ready!(bound.poll_over(cx)));
        // Whoever keeps the future does not keep the attempt.
        this.attempt.set(Attempt::Done);
        *this.bound = None;
        Poll::Ready(Err(error))
    }
}

/// The answer or the error; or the expiry that it is by another name.
fn judge<R, E>(outcome: Result<Response<R>, E>, bound: Option<&Bound>) -> Result<Response<R>, Error>
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
