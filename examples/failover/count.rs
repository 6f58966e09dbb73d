//! Counts the attempts that are handed to the transport; sits directly above the channel of every
//! client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use crate::methods::Method;

/// Attempts so far, by whether the method is declared idempotent.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    declared: AtomicU64,
    undeclared: AtomicU64,
}

impl Attempts {
    pub(crate) fn declared(&self) -> u64 {
        self.declared.load(Relaxed)
    }

    pub(crate) fn undeclared(&self) -> u64 {
        self.undeclared.load(Relaxed)
    }

    fn count(&self, path: &str) {
        let class = if path == Method::Append.path() {
            &self.undeclared
        } else {
            &self.declared
        };
        class.fetch_add(1, Relaxed);
    }
}

/// A service whose calls are counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted<S> {
    inner: S,
    attempts: Arc<Attempts>,
}

impl<S> Counted<S> {
    pub(crate) fn new(inner: S, attempts: Arc<Attempts>) -> Self {
        Self { inner, attempts }
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
        self.attempts.count(request.uri().path());
        self.inner.call(request)
    }
}
