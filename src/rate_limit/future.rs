use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project::pin_project;

use crate::grpc::{Status, strip_head};

use super::RateLimitBody;

/// The future of [`RateLimit`](super::RateLimit).
#[pin_project]
pub struct ResponseFuture<F>(#[pin] State<F>);

#[pin_project(project = StateProj)]
enum State<F> {
    Admitted(#[pin] F),
    Refused(Option<Status>),
}

impl<F> ResponseFuture<F> {
    pub(super) fn admitted(future: F) -> Self {
        Self(State::Admitted(future))
    }

    pub(super) fn refused(status: Status) -> Self {
        Self(State::Refused(Some(status)))
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<RateLimitBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::Admitted(future) => {
                let outcome = ready!(future.poll(cx)).map(strip_head);
                Poll::Ready(outcome.map(|response| response.map(RateLimitBody::passed)))
            }
            StateProj::Refused(status) => match status.take() {
                Some(status) => Poll::Ready(Ok(status.into_answer(RateLimitBody::empty()))),
                // Like any future, it must not be polled after it was ready.
                None => Poll::Pending,
            },
        }
    }
}
