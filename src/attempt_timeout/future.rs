use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::classify::{self, Progress};
use crate::dispatch::{Attempt, Recorder, received};
use crate::error::{BoxError, Error};
use crate::grpc::{STATUS, find};
use crate::report::Phase;

use super::AttemptBody;
use super::bound::Bound;

/// The future of [`AttemptTimeout`](super::AttemptTimeout).
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
    type Output = Result<Response<AttemptBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(outcome) = this.attempt.as_mut().poll(cx) {
            let judged = judge(outcome, this.bound.as_ref());
            let bound = this.bound.take().filter(Bound::covers_first_message);
            let bound = bound.filter(|_| judged.as_ref().is_ok_and(is_open));
            let body = |inner, recorder| AttemptBody::new(inner, bound, recorder);
            return Poll::Ready(this.recorder.hand_up(judged, body));
        }
        let Some(bound) = this.bound else {
            return Poll::Pending;
        };
        ready!(bound.poll_passed(cx));
        let (phase, progress) = if this.attempt.is_waiting() {
            (Phase::Queued, Progress::NotSent)
        } else {
            (Phase::Attempt, Progress::Reached)
        };
        let error = bound.expired(phase, progress, None);
        // Whoever keeps the future does not keep the attempt.
        this.attempt.set(Attempt::Done);
        *this.bound = None;
        Poll::Ready(Err(this.recorder.failed(error)))
    }
}

/// The answer or the error; or the end of the attempt that it is by another name.
fn judge<R, E>(outcome: Result<Response<R>, E>, bound: Option<&Bound>) -> Result<Response<R>, Error>
where
    E: Into<BoxError>,
{
    let outcome = outcome.map_err(Error::from_inner).and_then(received);
    let Some(bound) = bound else { return outcome };
    let response = outcome.map_err(|error| bound.name(error, Phase::Attempt))?;
    let said = classify::head(response.status(), response.headers());
    bound.said(said, Phase::Attempt).map(|()| response)
}

/// Whether a message may still come.
fn is_open<R: Body>(response: &Response<R>) -> bool {
    find(response.headers(), &STATUS).is_none() && !response.body().is_end_stream()
}
