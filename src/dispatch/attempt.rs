use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use pin_project::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use crate::call;
use crate::classify::Progress;
use crate::error::{BoxError, Error};
use crate::report::{Phase, Trace};

use super::Lease;

/// One attempt: waits until the service is ready, then calls it.
#[pin_project(project = AttemptProj, project_replace = AttemptOwned)]
pub(crate) enum Attempt<S, B>
where
    S: Service<Request<B>>,
{
    Waiting {
        service: S,
        request: Request<B>,
    },
    Calling {
        #[pin]
        future: S::Future,
    },
    Failed {
        error: BoxError,
    },
    Done,
}

impl<S, B> Attempt<S, B>
where
    S: Service<Request<B>>,
{
    /// The attempt with a service from [`Readied::take`](super::Readied::take): a ready one is
    /// called at once.
    pub(crate) fn new(lease: Lease<S>, request: Request<B>) -> Self {
        match lease {
            Lease::Ready(mut service) => {
                enter(&request, Phase::Attempt);
                Self::Calling {
                    future: service.call(request),
                }
            }
            Lease::NotReady(service) => Self::when_ready(service, request),
            Lease::Failed(error, _) => Self::Failed { error },
        }
    }

    /// No attempt: the call fails so.
    #[cfg(any(
        feature = "adaptive-throttle",
        feature = "attempt-timeout",
        feature = "deadline"
    ))]
    pub(crate) fn refused(error: Error) -> Self {
        let error = error.into();
        Self::Failed { error }
    }

    /// The attempt with a service whose readiness nobody knows.
    pub(crate) fn when_ready(service: S, request: Request<B>) -> Self {
        enter(&request, Phase::Queued);
        Self::Waiting { service, request }
    }

    /// Whether the request certainly was not handed on yet.
    #[cfg(feature = "attempt-timeout")]
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting { .. })
    }
}

impl<S, B> Future for Attempt<S, B>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project() {
                AttemptProj::Waiting { service, .. } => {
                    let readiness = ready!(service.poll_ready(cx));
                    let AttemptOwned::Waiting {
                        mut service,
                        request,
                    } = self.as_mut().project_replace(Self::Done)
                    else {
                        return Poll::Pending;
                    };
                    if let Err(error) = readiness {
                        return Poll::Ready(Err(Error::unready(error).into()));
                    }
                    if let Some(expiry) = expiry(&request) {
                        return Poll::Ready(Err(expiry.into()));
                    }
                    enter(&request, Phase::Attempt);
                    let future = service.call(stamped(request));
                    self.set(Self::Calling { future });
                }
                AttemptProj::Calling { future } => return future.poll(cx).map_err(Into::into),
                AttemptProj::Failed { .. } => {
                    return match self.as_mut().project_replace(Self::Done) {
                        AttemptOwned::Failed { error } => {
                            Poll::Ready(Err(Error::unready(error).into()))
                        }
                        _ => Poll::Pending,
                    };
                }
                // Like any future, it must not be polled after it was ready.
                AttemptProj::Done => return Poll::Pending,
            }
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
