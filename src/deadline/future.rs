use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::classify;
use crate::dispatch::{Attempt, tidy_head};
use crate::error::{BoxError, Error};
use crate::report::Phase;

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
        let head = classify::head(response.status(), response.headers());
        if let Some(expiry) = head.and_then(|(verdict, status)| bound.cancelled(verdict, status)) {
            return Err(expiry);
        }
    }
    Ok(response.map(|body| DeadlineBody::new(body, bound)))
}
