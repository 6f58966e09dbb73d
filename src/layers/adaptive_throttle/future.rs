use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::body::RequestGuard;
use crate::dispatch::{AnswerBody, Attempt, Recorder, received};
use crate::error::{BoxError, Error};

use super::{Throttle, ThrottleBody};

/// The future of [`AdaptiveThrottle`](super::AdaptiveThrottle).
#[pin_project]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    #[pin]
    attempt: Attempt<S, B>,
    /// `None` for a call that was counted already.
    throttle: Option<Throttle>,
    recorder: Recorder,
    /// The request ends with the call (CONTRACT R13).
    request: Option<RequestGuard>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(attempt: Attempt<S, B>, throttle: Throttle, recorder: Recorder) -> Self {
        Self {
            attempt,
            throttle: Some(throttle),
            recorder,
            request: None,
        }
    }

    /// Ends this request with the call.
    pub(super) fn guarding(self, request: Option<RequestGuard>) -> Self {
        Self { request, ..self }
    }

    pub(super) fn held_back(error: Error, recorder: Recorder) -> Self {
        Self {
            attempt: Attempt::refused(error),
            throttle: None,
            recorder,
            request: None,
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
    type Output = Result<Response<ThrottleBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.attempt.poll(cx));
        let outcome = outcome.and_then(|mut response| {
            let code = received(&mut response)?;
            Ok((response, code))
        });
        let heard = outcome.as_ref().map(|(response, code)| (response, *code));
        let throttle = this.throttle.take();
        let request = this.request.take();
        let accepted = throttle.and_then(|throttle| throttle.heard(heard));
        Poll::Ready(match outcome {
            Ok((mut response, code)) => {
                drop(request.map(RequestGuard::answered));
                let recorder = this.recorder.answered(&mut response, code);
                Ok(response.map(|inner| {
                    ThrottleBody::new(AnswerBody::new(inner, code), accepted, recorder)
                }))
            }
            Err(error) => Err(this.recorder.failed(error.of_guarded(request))),
        })
    }
}
