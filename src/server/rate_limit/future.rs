use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project::pin_project;
use tower_service::Service;

use crate::grpc::Status;
use crate::grpc::refusal::strip_head;
use crate::kernel::timer::Timer;

use super::ServerRateLimitBody;

/// The future of [`ServerRateLimit`](super::ServerRateLimit).
#[pin_project]
pub struct ResponseFuture<S: Service<Request<B>>, B>(#[pin] State<S, B>);

#[pin_project(project = StateProj)]
enum State<S: Service<Request<B>>, B> {
    Admitted(#[pin] S::Future),
    /// The cell of the request is about to come.
    Waiting(Box<Timer>, Option<Box<(S, Request<B>)>>),
    Refused(Option<Status>),
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(super) fn admitted(future: S::Future) -> Self {
        Self(State::Admitted(future))
    }

    pub(super) fn waiting(timer: Timer, ready: S, request: Request<B>) -> Self {
        let call = Some(Box::new((ready, request)));
        Self(State::Waiting(Box::new(timer), call))
    }

    pub(super) fn refused(status: Status) -> Self {
        Self(State::Refused(Some(status)))
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ServerRateLimitBody<R>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut state = self.as_mut().project().0;
            let admitted = match state.as_mut().project() {
                StateProj::Admitted(future) => {
                    let mut outcome = ready!(future.poll(cx));
                    outcome.iter_mut().for_each(strip_head);
                    return Poll::Ready(
                        outcome.map(|response| response.map(ServerRateLimitBody::passed)),
                    );
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
