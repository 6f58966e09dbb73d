//! The service that is called.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use benches::call;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// Answers with the message that came.
#[derive(Clone, Default)]
pub(crate) struct Echo {
    is_out: Arc<AtomicBool>,
}

impl Echo {
    /// Answers the next call with UNAVAILABLE.
    pub(crate) fn fail_once(&self) {
        self.is_out.store(true, Ordering::Relaxed);
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "bench.v1.Orders";
}

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Calls that are measured only look.
        let is_out = self.is_out.load(Ordering::Relaxed);
        if is_out && self.is_out.swap(false, Ordering::Relaxed) {
            let answer = Status::unavailable("for once").into_http();
            return Box::pin(ready(Ok(answer)));
        }
        Box::pin(async {
            let message = match request.into_body().collect().await {
                Ok(body) => body,
                Err(status) => return Ok(status.into_http()),
            };
            let mut trailers = HeaderMap::new();
            trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
            let message = message.with_trailers(ready(Some(Ok(trailers))));
            Ok(call::response().map(|_| Body::new(message)))
        })
    }
}
