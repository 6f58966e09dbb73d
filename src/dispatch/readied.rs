use std::fmt;
use std::mem;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::error::BoxError;

/// An inner service, and whether it was found ready.
#[derive(Clone)]
pub(crate) struct Readied<S> {
    service: S,
    found: Found,
}

enum Found {
    NotYet,
    Ready,
    Failed(BoxError),
}

/// Readiness belongs to the service that was polled, never to its clone.
impl Clone for Found {
    fn clone(&self) -> Self {
        Self::NotYet
    }
}

/// A service taken out for one call.
pub(crate) enum Lease<S> {
    /// It is ready: call it now.
    Ready(S),
    /// It must be polled ready first.
    NotReady(S),
    /// Polling it ready failed.
    Failed(BoxError, S),
}

impl<S: Clone> Readied<S> {
    pub(crate) fn new(service: S) -> Self {
        Self {
            service,
            found: Found::NotYet,
        }
    }

    /// Polls the inner service and remembers the outcome; a layer answers "ready" whatever it is.
    pub(crate) fn poll<R>(&mut self, cx: &mut Context<'_>)
    where
        S: Service<R>,
        S::Error: Into<BoxError>,
    {
        if matches!(self.found, Found::Ready) {
            return;
        }
        self.found = match self.service.poll_ready(cx) {
            Poll::Ready(Ok(())) => Found::Ready,
            Poll::Ready(Err(error)) => Found::Failed(error.into()),
            Poll::Pending => Found::NotYet,
        };
    }

    /// Takes the polled service and leaves a clone.
    pub(crate) fn take(&mut self) -> Lease<S> {
        let clone = self.service.clone();
        let service = mem::replace(&mut self.service, clone);
        match mem::replace(&mut self.found, Found::NotYet) {
            Found::Ready => Lease::Ready(service),
            Found::NotYet => Lease::NotReady(service),
            Found::Failed(error) => Lease::Failed(error, service),
        }
    }
}

impl<S> Lease<S> {
    /// A clone whose readiness nobody knows, for later attempts.
    #[cfg(any(feature = "retry", feature = "wait-for-ready"))]
    pub(crate) fn spare(&self) -> S
    where
        S: Clone,
    {
        match self {
            Self::Ready(service) | Self::NotReady(service) | Self::Failed(_, service) => {
                service.clone()
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Readied<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.service.fmt(f)
    }
}
