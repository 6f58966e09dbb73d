use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::{DrainBody, Draining, ResponseFuture};

/// The service of [`DrainLayer`](super::DrainLayer).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::Drain;
/// use grpc_resilience::drain::DrainService;
/// use tower_layer::Layer as _;
///
/// let drain = Drain::builder().build()?;
/// let service: DrainService<&str> = drain.layer().layer("a service");
/// assert_eq!(service.into_inner(), "a service");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DrainService<S> {
    inner: S,
    draining: Draining,
}

/// The path of the streams that report the health of a service for as long as a client is
/// connected.
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

impl<S> DrainService<S> {
    pub(super) fn new(inner: S, draining: Draining) -> Self {
        Self { inner, draining }
    }

    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, without the layer.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for DrainService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<DrainBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let is_watch = request.uri().path() == HEALTH_WATCH;
        let until = is_watch.then(|| self.draining.clone());
        request.extensions_mut().insert(self.draining.clone());
        ResponseFuture::new(self.inner.call(request), until)
    }
}
