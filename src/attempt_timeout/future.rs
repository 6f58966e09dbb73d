use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::classify::{self, Progress};
use crate::dispatch::{Answer, Attempt, Recorder, received};
use crate::error::{BoxError, Error};
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
    /// `None` for a call of which nobody writes anything down, and which is not bounded.
    recorder: Option<Recorder>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(attempt: Attempt<S, B>, bound: Option<Bound>, recorder: Recorder) -> Self {
        let is_silent = bound.is_none() && recorder.trace().is_none();
        Self {
            attempt,
            bound,
            recorder: (!is_silent).then_some(recorder),
        }
    }

    pub(super) fn failed(error: Error, recorder: Recorder) -> Self {
        Self {
            attempt: Attempt::refused(error),
            bound: None,
            recorder: Some(recorder),
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
    type Output = Result<Response<AttemptBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = this.attempt.as_mut().poll(cx);
        let Some(recorder) = this.recorder else {
            return polled.map_ok(|response| response.map(AttemptBody::passing));
        };
        if let Poll::Ready(outcome) = polled {
            let judged = judge(outcome, this.bound.as_ref());
            let bound = this.bound.take().filter(Bound::covers_first_message);
            let bound = bound.filter(|_| judged.as_ref().is_ok_and(is_open));
            let body = |inner, recorder| AttemptBody::new(inner, bound, recorder);
            return Poll::Ready(recorder.hand_up(judged, body));
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
        Poll::Ready(Err(recorder.failed(error)))
    }
}

/// The answer or the error; or the end of the attempt that it is by another name.
fn judge<R>(
    outcome: Result<Response<R>, Error>,
    bound: Option<&Bound>,
) -> Result<Answer<R>, Error> {
    let answer = outcome.and_then(received);
    let Some(bound) = bound else { return answer };
    let answer = answer.map_err(|error| bound.name(error, Phase::Attempt))?;
    if answer.code.is_some() {
        let head = &answer.response;
        let said = classify::head(head.status(), head.headers());
        bound.said(said, Phase::Attempt)?;
    }
    Ok(answer)
}

/// Whether a message may still come.
fn is_open<R: Body>(answer: &Answer<R>) -> bool {
    answer.code.is_none() && !answer.response.body().is_end_stream()
}
