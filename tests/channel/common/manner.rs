//! How a server in memory behaves, which a test may change.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

/// Answers after a delay, or with an error.
#[derive(Clone, Default)]
pub(crate) struct Manner(Arc<Inside>);

#[derive(Default)]
struct Inside {
    delay: AtomicU64,
    /// One call in this number fails; 0: none.
    fails: AtomicUsize,
    calls: AtomicUsize,
}

impl Manner {
    pub(crate) fn taking(millis: u64) -> Self {
        let manner = Self::default();
        manner.take(millis);
        manner
    }

    pub(crate) fn take(&self, millis: u64) {
        self.0.delay.store(millis, Ordering::Relaxed);
    }

    /// One call in this number fails with UNAVAILABLE.
    pub(crate) fn failing_one_in(self, number: usize) -> Self {
        self.0.fails.store(number, Ordering::Relaxed);
        self
    }

    /// How many calls came.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::Relaxed)
    }
}

impl<S> Layer<S> for Manner {
    type Service = Behaving<S>;

    fn layer(&self, inner: S) -> Behaving<S> {
        let manner = self.clone();
        Behaving { inner, manner }
    }
}

#[derive(Clone)]
pub(crate) struct Behaving<S> {
    inner: S,
    manner: Manner,
}

impl<S, B> Service<Request<B>> for Behaving<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.uri().path().starts_with("/grpc.health.") {
            return Box::pin(self.inner.call(request));
        }
        let manner = Arc::clone(&self.manner.0);
        let number = manner.calls.fetch_add(1, Ordering::Relaxed);
        let delay = Duration::from_millis(manner.delay.load(Ordering::Relaxed));
        let fails = manner.fails.load(Ordering::Relaxed);
        let answer = self.inner.call(request);
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if fails == 0 || !number.is_multiple_of(fails) {
                return answer.await;
            }
            let failure = Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", "14");
            Ok(failure.body(Body::empty()).unwrap())
        })
    }
}
