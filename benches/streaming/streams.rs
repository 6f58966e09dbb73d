//! A service that sends and receives streams and does nothing else.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use benches::call;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::call::{Messages, WANTED};

#[derive(Clone)]
pub(crate) struct Streams;

impl NamedService for Streams {
    const NAME: &'static str = "bench.v1.Streams";
}

impl Service<Request<Body>> for Streams {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(answer(request))
    }
}

async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let wanted = request.headers().get(WANTED);
    let wanted = wanted.and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    let Some(left) = wanted else {
        return Ok(call::response());
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let messages = Messages {
        left,
        trailers: Some(trailers),
    };
    Ok(call::response().map(|_| Body::new(messages)))
}
