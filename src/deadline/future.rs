use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::call::Phase;
use crate::classify;
use crate::dispatch::{Attempt, tidy_head};
use crate::error::{BoxError, Error};
use crate::grpc::Code;

use super::DeadlineBody;
use super::bound::Bound;

/// The future of [`DeadlineService`](super::DeadlineService).
#[pin_project]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    #[pin]
    state: State<S, B>,
    bound: Option<Bound>,
}

#[pin_project(project = StateProj)]
enum State<S, B>
where
    S: Service<Request<B>>,
{
    Attempt(#[pin] Attempt<S, B>),
    Failed(Option<Error>),
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(attempt: Attempt<S, B>, bound: Option<Bound>) -> Self {
        let state = State::Attempt(attempt);
        Self { state, bound }
    }

    pub(super) fn failed(error: Error) -> Self {
        Self {
            state: State::Failed(Some(error)),
            bound: None,
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
    type Output = Result<Response<DeadlineBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let attempt = match this.state.as_mut().project() {
            StateProj::Attempt(attempt) => attempt,
            // Like any future, it must not be polled after it was ready.
            StateProj::Failed(error) => {
                return error
                    .take()
                    .map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
            }
        };
        if let Poll::Ready(outcome) = attempt.poll(cx) {
            return Poll::Ready(finish(outcome, this.bound.take()));
        }
        let Some(bound) = this.bound else {
            return Poll::Pending;
        };
        bound.poll_expired(cx).map(|error| {
            // Whoever keeps the future does not keep the attempt.
            this.state.set(State::Failed(None));
            Err(error)
        })
    }
}

fn finish<R, E>(
    outcome: Result<Response<R>, E>,
    bound: Option<Bound>,
) -> Result<Response<DeadlineBody<R>>, Error>
where
    E: Into<BoxError>,
{
    let mut response = match (outcome.map_err(Error::from_inner), &bound) {
        (Ok(response), _) => response,
        (Err(error), Some(bound)) => return Err(bound.name(error)),
        (Err(error), None) => return Err(error),
    };
    tidy_head(&mut response);
    if let Some(bound) = &bound {
        bound.enter(Phase::Response);
        if let Some(expiry) = cancelled_by_deadline(&response, bound) {
            return Err(expiry);
        }
    }
    Ok(response.map(|body| DeadlineBody::new(body, bound)))
}

/// A server that noticed the deadline first and called it a cancellation.
fn cancelled_by_deadline<R>(response: &Response<R>, bound: &Bound) -> Option<Error> {
    let (verdict, status) = classify::head(response.status(), response.headers())?;
    if verdict.code != Code::Cancelled {
        return None;
    }
    let named = bound.name(Error::answered(verdict, status));
    (named.code() == Code::DeadlineExceeded).then_some(named)
}
