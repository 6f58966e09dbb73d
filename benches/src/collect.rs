//! The replay that the user of a retry that clones requests must write.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tower::Service;

use crate::Failure;

/// A request that can be cloned, with its extensions.
pub type Collected = Request<Full<Bytes>>;

/// Collects the body of each request first.
#[derive(Clone, Debug)]
pub struct Collect<S> {
    inner: S,
}

impl<S> Collect<S> {
    /// Collects for this service.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for Collect<S>
where
    S: Service<Collected, Future: Send, Error: Into<Failure>> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let unready = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, unready);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = Full::new(body.collect().await?.to_bytes());
            let response = inner.call(Request::from_parts(parts, body)).await;
            response.map_err(Into::into)
        })
    }
}
