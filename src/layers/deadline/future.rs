use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::body::RequestGuard;
use crate::classify;
use crate::dispatch::{AnswerBody, Attempt, Recorder, passed, received};
use crate::error::{BoxError, Error};
use crate::grpc::Code;

use super::DeadlineBody;
use super::deadline_timer::DeadlineTimer;

/// The future of [`Deadline`](super::Deadline).
#[pin_project]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    #[pin]
    attempt: Attempt<S, B>,
    bound: Option<DeadlineTimer>,
    /// `None` for a call that is not recorded.
    recorder: Option<Recorder>,
    /// The request ends with the call (CONTRACT R13).
    request: Option<RequestGuard>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    /// For a call that the layer does not end.
    pub(crate) fn passing(attempt: Attempt<S, B>, recorder: Recorder) -> Self {
        Self::new(attempt, None, (!recorder.is_silent()).then_some(recorder))
    }

    pub(crate) fn bound(attempt: Attempt<S, B>, bound: DeadlineTimer, recorder: Recorder) -> Self {
        Self::new(attempt, Some(bound), Some(recorder))
    }

    pub(super) fn failed(error: Error, recorder: Recorder) -> Self {
        Self::new(Attempt::refused(error), None, Some(recorder))
    }

    fn new(
        attempt: Attempt<S, B>,
        bound: Option<DeadlineTimer>,
        recorder: Option<Recorder>,
    ) -> Self {
        Self {
            attempt,
            bound,
            recorder,
            request: None,
        }
    }

    /// Ends this request with the call.
    pub(crate) fn guarding(self, request: Option<RequestGuard>) -> Self {
        Self { request, ..self }
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
        let polled = this.attempt.as_mut().poll(cx);
        let Some(recorder) = this.recorder else {
            return passed(polled, DeadlineBody::passing);
        };
        if let Poll::Ready(outcome) = polled {
            let bound = this.bound.take();
            let mut request = this.request.take();
            let failure = match outcome {
                Ok(mut response) => match judge(&mut response, bound.as_ref(), recorder) {
                    Ok(code) => {
                        let recorder = recorder.answered(&mut response, code);
                        let request = request.take().map(RequestGuard::answered);
                        let body = |inner| {
                            let inner = AnswerBody::new(inner, code);
                            DeadlineBody::new(inner, bound, recorder, request)
                        };
                        return Poll::Ready(Ok(response.map(body)));
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let failure = failure.of_guarded(request);
            let failure = match &bound {
                Some(bound) => bound.name(failure, recorder.trace()),
                None => failure,
            };
            return Poll::Ready(Err(recorder.failed(failure)));
        }
        let Some(bound) = this.bound else {
            return Poll::Pending;
        };
        let over = bound.poll_over(cx, None, || recorder.trace().cloned());
        let error = recorder.failed(ready!(over));
        // A finished future must not keep the attempt alive.
        this.attempt.set(Attempt::Done);
        *this.bound = None;
        *this.request = None;
        Poll::Ready(Err(error))
    }
}

/// The code in the response head; or the failure in it, which may be the expiry under another
/// code.
#[inline]
fn judge<R>(
    response: &mut Response<R>,
    bound: Option<&DeadlineTimer>,
    recorder: &Recorder,
) -> Result<Option<Code>, Error> {
    let code = received(response)?;
    match (bound, code) {
        (Some(bound), Some(said)) if classify::may_be_expiry(said) => {
            let head = classify::head(response.status(), response.headers());
            let expiry = bound.said(head, recorder.trace());
            expiry.map_or(Ok(code), |expiry| Err(expiry.vouched_in(response)))
        }
        _ => Ok(code),
    }
}
