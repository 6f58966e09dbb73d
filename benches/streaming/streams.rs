//! A service that sends and receives streams and does nothing else.

use std::future::Future;

use benches::{Handler, call};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;

use super::call::{Messages, SIZE, Size, WANTED};

#[derive(Clone)]
pub(crate) struct Streams;

impl Handler for Streams {
    const NAME: &'static str = "bench.v1.Streams";

    fn answer(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send + 'static {
        answer(request)
    }
}

async fn answer(request: Request<Body>) -> Response<Body> {
    let wanted = request.headers().get(WANTED);
    let wanted = wanted.and_then(|value| value.to_str().ok()?.parse().ok());
    let size = request.headers().get(SIZE);
    let size = size.map_or(Size::Mebibyte, |name| Size::named(name.as_bytes()));
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    let Some(left) = wanted else {
        return call::response();
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let messages = Messages {
        left,
        size,
        trailers: Some(trailers),
    };
    call::response().map(|_| Body::new(messages))
}
