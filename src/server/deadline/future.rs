use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use http::uri::PathAndQuery;
use pin_project::pin_project;

use crate::grpc::Status;
use crate::grpc::refusal::settle_head;

use super::ServerDeadlineBody;
use super::watch::{Step, Watch};

/// The future of [`ServerDeadline`](super::ServerDeadline).
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    path: Option<PathAndQuery>,
    watch: Option<Watch>,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Serving(#[pin] F),
    /// The layer answers the call itself.
    Answered(Option<Status>),
}

impl<F> ResponseFuture<F> {
    pub(super) fn serving(future: F, path: Option<PathAndQuery>, watch: Watch) -> Self {
        Self {
            state: State::Serving(future),
            path,
            watch: Some(watch),
        }
    }

    pub(super) fn answered(status: Status) -> Self {
        Self {
            state: State::Answered(Some(status)),
            path: None,
            watch: None,
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ServerDeadlineBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let status = match (this.state.as_mut().project(), this.watch.as_mut()) {
            (StateProj::Serving(future), Some(watch)) => {
                match watch.step(cx, |cx| future.poll(cx)) {
                    Poll::Ready(Step::Done(outcome)) => {
                        let watch = this.watch.take();
                        let body = |inner| ServerDeadlineBody::new(inner, watch);
                        let outcome = outcome.map(|mut response| {
                            settle_head(&mut response, this.path.as_ref());
                            response
                        });
                        return Poll::Ready(outcome.map(|response| response.map(body)));
                    }
                    Poll::Ready(Step::Expired(status)) => status,
                    Poll::Pending => return Poll::Pending,
                }
            }
            (StateProj::Answered(status), _) => match status.take() {
                Some(status) => status,
                // Polled after completion, which the `Future` contract forbids.
                None => return Poll::Pending,
            },
            (StateProj::Serving(_), None) => return Poll::Pending,
        };
        // The handler stops here, and with it the calls that it made.
        this.state.set(State::Answered(None));
        *this.watch = None;
        Poll::Ready(Ok(status.into_answer(ServerDeadlineBody::empty())))
    }
}
