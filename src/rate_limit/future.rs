use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::grpc::Status;

use super::RateLimitBody;

/// The future of [`RateLimit`](super::RateLimit).
#[pin_project]
pub struct ResponseFuture<S: Service<Request<B>>, B>(#[pin] State<S, B>);

#[pin_project(project = StateProj)]
enum State<S: Service<Request<B>>, B> {
    Admitted(#[pin] S::Future),
    /// Its cell comes in a moment.
    Waiting(Pin<Box<Sleep>>, Option<Box<(S, Request<B>)>>),
    Refused(Option<Status>),
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(super) fn admitted(future: S::Future) -> Self {
        Self(State::Admitted(future))
    }

    pub(super) fn waiting(until: Instant, ready: S, request: Request<B>) -> Self {
        let call = Some(Box::new((ready, request)));
        Self(State::Waiting(Box::pin(sleep_until(until)), call))
    }

    pub(super) fn refused(status: Status) -> Self {
        Self(State::Refused(Some(status)))
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<RateLimitBody<R>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut state = self.as_mut().project().0;
            let admitted = match state.as_mut().project() {
                StateProj::Admitted(future) => {
                    let outcome = ready!(future.poll(cx));
                    return Poll::Ready(
                        outcome.map(|response| response.map(RateLimitBody::passed)),
                    );
                }
                StateProj::Waiting(sleep, call) => {
                    ready!(sleep.as_mut().poll(cx));
                    call.take()
                }
                StateProj::Refused(status) => match status.take() {
                    Some(status) => return Poll::Ready(Ok(answer(status))),
                    None => None,
                },
            };
            // Like any future, it must not be polled after it was ready.
            let Some(call) = admitted else {
                return Poll::Pending;
            };
            let (mut service, request) = *call;
            state.set(State::Admitted(service.call(request)));
        }
    }
}

/// A Trailers-Only answer.
fn answer<R>(status: Status) -> Response<RateLimitBody<R>> {
    let mut response = Response::new(RateLimitBody::empty());
    let headers = response.headers_mut();
    let content_type = http::HeaderValue::from_static("application/grpc");
    headers.insert(http::header::CONTENT_TYPE, content_type);
    headers.extend(status.into_headers());
    response
}
