//! How a server in memory behaves, which a test may change.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
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
    /// Or this part of the calls, in percent, evenly.
    fails_percent: AtomicUsize,
    /// Failures have this code, or this status of HTTP; 0: UNAVAILABLE.
    code: AtomicU16,
    calls: AtomicUsize,
}

impl Inside {
    fn fails(&self, number: usize) -> bool {
        let fails = self.fails.load(Ordering::Relaxed);
        let percent = self.fails_percent.load(Ordering::Relaxed);
        let is_one_in = fails != 0 && number.is_multiple_of(fails);
        is_one_in || number * percent / 100 != (number + 1) * percent / 100
    }
}

/// A request with this header is answered with INTERNAL by every server.
pub(crate) const POISON: &str = "poison";

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

    /// This part of the calls fails, in percent, with this code of gRPC or status of HTTP.
    pub(crate) fn fail(&self, percent: usize, code: u16) {
        self.0.fails_percent.store(percent, Ordering::Relaxed);
        self.0.code.store(code, Ordering::Relaxed);
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
        let code = match manner.code.load(Ordering::Relaxed) {
            _ if request.headers().contains_key(POISON) => Some(13),
            _ if !manner.fails(number) => None,
            0 => Some(14),
            code => Some(code),
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let failure = match code {
                None => return answer.await,
                Some(code @ 0..=99) => Response::builder()
                    .header("content-type", "application/grpc")
                    .header("grpc-status", code),
                Some(status) => Response::builder().status(status),
            };
            Ok(failure.body(Body::empty()).unwrap())
        })
    }
}
