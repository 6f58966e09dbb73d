use std::fmt;
use std::mem;
use std::task::{Context, Poll};

use http::Request;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::InCall;
use crate::error::{BoxError, Error};
use crate::report::{Phase, Trace};

use super::{Attempt, hold};

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

impl<S> Readied<S> {
    pub(crate) fn get_ref(&self) -> &S {
        &self.service
    }

    pub(crate) fn into_inner(self) -> S {
        self.service
    }
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
        // What failed can take no call, and is not asked again.
        if !matches!(self.found, Found::NotYet) {
            return;
        }
        self.found = match self.service.poll_ready(cx) {
            Poll::Ready(Ok(())) => Found::Ready,
            Poll::Ready(Err(error)) => Found::Failed(error.into()),
            Poll::Pending => Found::NotYet,
        };
    }

    /// The first attempt of a call. A service that was found ready is called at once, where it is;
    /// one that was not goes into the attempt, and its clone stays behind. `now` is asked only if
    /// somebody listens.
    #[inline]
    pub(crate) fn attempt<B>(
        &mut self,
        request: Request<B>,
        trace: Option<&Trace>,
        now: impl FnOnce() -> Instant,
    ) -> Attempt<S, B>
    where
        S: Service<Request<B>>,
    {
        match mem::replace(&mut self.found, Found::NotYet) {
            Found::Ready => {
                if let Some(trace) = trace {
                    trace.enter_at(Phase::Attempt, now);
                }
                let _in_call = InCall::begin();
                Attempt::Calling {
                    future: self.service.call(request),
                }
            }
            Found::NotYet => Attempt::when_ready(self.take(), request),
            Found::Failed(error) => {
                // It can take no other call.
                self.hold_back(&request);
                Attempt::refused(Error::not_ready(error))
            }
        }
    }

    /// Whether a call would go at once.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.found, Found::Ready)
    }

    /// A service that is always ready, as each layer is, needs not be asked; for whoever has to do
    /// with what stands below it.
    pub(crate) fn always_ready(&mut self) -> &mut S {
        self.found = Found::Ready;
        &mut self.service
    }

    /// The service with what was found of it; its clone stays behind.
    pub(crate) fn hand_over(&mut self) -> Self {
        let found = mem::replace(&mut self.found, Found::NotYet);
        Self {
            service: self.take(),
            found,
        }
    }

    /// The service, which was polled, for a call that must wait for it.
    fn take(&mut self) -> S {
        let clone = self.service.clone();
        mem::replace(&mut self.service, clone)
    }

    /// The call of this request does not go now.
    pub(crate) fn hold_back<B>(&mut self, request: &Request<B>) {
        hold(request, true);
        self.release();
    }

    /// The call at hand does not go now: what the service holds ready for it is for others.
    pub(crate) fn release(&mut self) {
        self.found = Found::NotYet;
        drop(self.take());
    }
}

impl<S: fmt::Debug> fmt::Debug for Readied<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.service.fmt(f)
    }
}
