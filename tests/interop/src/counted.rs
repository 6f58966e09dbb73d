use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

/// How often a request was handed to the transport: attempts and transparent retries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sends(Arc<AtomicU32>);

impl Sends {
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

/// A service whose calls are counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted<S> {
    inner: S,
    sends: Sends,
}

impl<S> Counted<S> {
    pub(crate) fn new(inner: S, sends: Sends) -> Self {
        Self { inner, sends }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.sends.0.fetch_add(1, Relaxed);
        self.inner.call(request)
    }
}
