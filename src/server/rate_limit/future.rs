use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::uri::PathAndQuery;
use http::{Request, Response};
use pin_project::pin_project;
use tower_service::Service;

use crate::grpc::Status;
use crate::grpc::refusal::settle_head;
use crate::kernel::timer::Timer;

use super::ServerRateLimitBody;

/// The future of [`ServerRateLimit`](super::ServerRateLimit).
#[pin_project]
pub struct ResponseFuture<S: Service<Request<B>>, B> {
    path: Option<PathAndQuery>,
    #[pin]
    state: State<S, B>,
}

#[pin_project(project = StateProj)]
enum State<S: Service<Request<B>>, B> {
    Admitted(#[pin] S::Future),
    /// The cell of the request is about to come.
    Waiting(Box<Timer>, Option<Box<(S, Request<B>)>>),
    Refused(Option<Status>),
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(super) fn admitted(future: S::Future, path: Option<PathAndQuery>) -> Self {
        let state = State::Admitted(future);
        Self { path, state }
    }

    pub(super) fn waiting(timer: Timer, ready: S, request: Request<B>) -> Self {
        let path = request.uri().path_and_query().cloned();
        let call = Some(Box::new((ready, request)));
        let state = State::Waiting(Box::new(timer), call);
        Self { path, state }
    }

    pub(super) fn refused(status: Status) -> Self {
        let state = State::Refused(Some(status));
        Self { path: None, state }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ServerRateLimitBody<R>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let this = self.as_mut().project();
            let (path, mut state) = (this.path, this.state);
            let admitted = match state.as_mut().project() {
                StateProj::Admitted(future) => {
                    return Poll::Ready(ready!(future.poll(cx)).map(|mut response| {
                        settle_head(&mut response, path.as_ref());
                        response.map(ServerRateLimitBody::passed)
                    }));
                }
                StateProj::Waiting(timer, call) => {
                    // Without a timer the request is sent at once: its cell is the next one.
                    let _ = ready!(timer.poll(cx));
                    call.take()
                }
                StateProj::Refused(status) => match status.take() {
                    Some(status) => {
                        return Poll::Ready(Ok(status.into_answer(ServerRateLimitBody::empty())));
                    }
                    None => None,
                },
            };
            // Polled after completion, which the `Future` contract forbids.
            let Some(call) = admitted else {
                return Poll::Pending;
            };
            let (mut service, request) = *call;
            state.set(State::Admitted(service.call(request)));
        }
    }
}
