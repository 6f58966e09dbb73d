//! The service that is called.

use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use benches::{Handler, call};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tonic::Status;
use tonic::body::Body;

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

impl Handler for Echo {
    const NAME: &'static str = "bench.v1.Orders";

    fn answer(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send + 'static {
        // Calls that are measured only look.
        let is_out = self.is_out.load(Ordering::Relaxed);
        let fails = is_out && self.is_out.swap(false, Ordering::Relaxed);
        async move {
            if fails {
                return Status::unavailable("for once").into_http();
            }
            let message = match request.into_body().collect().await {
                Ok(body) => body,
                Err(status) => return status.into_http(),
            };
            let mut trailers = HeaderMap::new();
            trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
            let message = message.with_trailers(ready(Some(Ok(trailers))));
            call::response().map(|_| Body::new(message))
        }
    }
}
