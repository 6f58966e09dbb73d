//! The attempts that a client hands to its channel.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};

use grpc_resilience::classify::TransportError;
use http::Request;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower_service::Service;

/// The attempts of a client.
#[derive(Debug, Default)]
pub struct Attempts {
    made: AtomicU32,
    failed: Mutex<Vec<(Instant, String)>>,
}

impl Attempts {
    /// How many were made.
    pub fn made(&self) -> u32 {
        self.made.load(Relaxed)
    }

    /// Those that failed at a known endpoint: when they began, and where.
    pub fn failed(&self) -> Vec<(Instant, String)> {
        self.failed.lock().clone()
    }
}

/// A channel whose attempts are counted; layers that retry are above it.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    attempts: Arc<Attempts>,
}

impl<S> Counted<S> {
    /// Counts the attempts on this channel.
    pub fn new(inner: S, attempts: Arc<Attempts>) -> Self {
        Self { inner, attempts }
    }
}

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Error: Error + 'static, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.attempts.made.fetch_add(1, Relaxed);
        let (attempts, began) = (Arc::clone(&self.attempts), Instant::now());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let failure = answer.as_ref().err();
            let failure = failure.and_then(|error| TransportError::find(error));
            if let Some(endpoint) = failure.and_then(TransportError::endpoint) {
                attempts.failed.lock().push((began, endpoint.name().into()));
            }
            answer
        })
    }
}
