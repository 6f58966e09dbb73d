use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use pin_project::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::InCall;
use crate::call;
use crate::classify::Progress;
use crate::error::{BoxError, Error};
use crate::report::{Phase, Trace};

use super::hold;

/// One attempt: waits until the service is ready, then calls it.
#[pin_project(project = AttemptProj, project_replace = AttemptOwned)]
pub(crate) enum Attempt<S, B>
where
    S: Service<Request<B>>,
{
    /// By itself in memory: what is moved with each call stays small, and few calls wait here.
    Waiting(Box<Waiting<S, B>>),
    Calling {
        #[pin]
        future: S::Future,
    },
    /// What it came to is known already. By itself in memory: an answer may be larger than what
    /// gives it.
    Known(Box<Result<S::Response, Error>>),
    Done,
}

/// What waits, and what for.
pub(crate) struct Waiting<S, B> {
    service: S,
    request: Request<B>,
}

impl<S, B> Attempt<S, B>
where
    S: Service<Request<B>>,
{
    /// No attempt: the call fails so.
    pub(crate) fn refused(error: Error) -> Self {
        Self::known(Err(error))
    }

    /// An attempt that somebody else made.
    pub(crate) fn known(outcome: Result<S::Response, Error>) -> Self {
        Self::Known(Box::new(outcome))
    }

    /// An attempt whose request was handed on.
    pub(crate) fn under_way(future: S::Future) -> Self {
        Self::Calling { future }
    }

    /// The attempt with a service whose readiness nobody knows.
    pub(crate) fn when_ready(service: S, request: Request<B>) -> Self {
        enter(&request, Phase::Queued);
        hold(&request, true);
        Self::Waiting(Box::new(Waiting { service, request }))
    }

    /// Whether the request certainly was not handed on yet.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }
}

impl<S, B> Future for Attempt<S, B>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let AttemptProj::Calling { future } = self.as_mut().project() {
            let in_call = InCall::begin();
            let polled = future.poll(cx);
            drop(in_call);
            return match polled {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(Error::from_inner(error))),
                Poll::Pending => Poll::Pending,
            };
        }
        self.poll_waiting(cx)
    }
}

impl<S, B> Attempt<S, B>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    #[inline(never)]
    fn poll_waiting(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, Error>> {
        let readiness = match self.as_mut().project() {
            AttemptProj::Waiting(waiting) => ready!(waiting.service.poll_ready(cx)),
            _ => Ok(()),
        };
        match self.as_mut().project_replace(Self::Done) {
            AttemptOwned::Waiting(waiting) => {
                let Waiting {
                    mut service,
                    request,
                } = *waiting;
                readiness.map_err(Error::not_ready)?;
                if let Some(expiry) = expiry(&request) {
                    return Poll::Ready(Err(expiry));
                }
                enter(&request, Phase::Attempt);
                hold(&request, false);
                let in_call = InCall::begin();
                let future = service.call(stamped(request));
                drop(in_call);
                self.set(Self::Calling { future });
                self.poll(cx)
            }
            AttemptOwned::Known(outcome) => Poll::Ready(*outcome),
            // Like any future, it must not be polled after it was ready.
            AttemptOwned::Calling { .. } | AttemptOwned::Done => Poll::Pending,
        }
    }
}

fn enter<B>(request: &Request<B>, phase: Phase) {
    let context = request.extensions().get::<call::Context>();
    if let Some(trace) = context.and_then(call::Context::trace) {
        trace.enter(phase);
    }
}

/// That of a call whose deadline passed while it waited: it is not sent any more.
fn expiry<B>(request: &Request<B>) -> Option<Error> {
    let context = request.extensions().get::<call::Context>()?;
    let deadline = context.deadline()?;
    if !deadline.remaining(Instant::now()).is_zero() {
        return None;
    }
    let trace = context.trace();
    let progress = trace.map_or(Progress::NotSent, Trace::progress);
    let last = trace.and_then(Trace::last_failure);
    Some(Error::expired(deadline, Phase::Queued, progress, last))
}

/// The request was delayed, so its `grpc-timeout` is recomputed from what is left now.
fn stamped<B>(mut request: Request<B>) -> Request<B> {
    let context = request.extensions().get::<call::Context>();
    if let Some(deadline) = context.and_then(call::Context::deadline) {
        deadline.stamp(request.headers_mut(), Instant::now());
    }
    request
}
