//! A layer over a handler that says nothing, asked by hand; and a server under it.

use std::convert::Infallible;
use std::time::Duration;

use grpc_resilience::__internal::{Pushback, retry_delay};
use grpc_resilience::grpc::{Code, Status};
use grpc_resilience::rate_limit::{ServerRateLimitBody, ServerRateLimitLayer};
use http::{Request, Response};
use test_protos::EchoServer;
use testing::{EchoService, Server, method};
use tonic::body::Body;
use tonic::service::LayerExt as _;
use tower::{Layer as _, Service as _, ServiceBuilder, service_fn};

/// What a refused caller was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) retry_info: Option<Duration>,
    pub(crate) pushback: Option<Pushback>,
    pub(crate) message: String,
}

impl Refused {
    /// Whether a place is kept for this caller.
    pub(crate) fn is_promise(&self) -> bool {
        self.message.contains("is kept for this caller")
    }
}

/// Whether the layer lets the request through.
pub(crate) async fn send(
    layer: &ServerRateLimitLayer,
    request: Request<()>,
) -> Result<(), Refused> {
    let handler = service_fn(|_: Request<()>| async {
        let mut response = Response::new(String::from("handled"));
        response
            .headers_mut()
            .insert("x-handled", "yes".parse().unwrap());
        Ok::<_, Infallible>(response)
    });
    let response = layer.layer(handler).call(request).await.unwrap();
    let headers = response.headers();
    if headers.contains_key("x-handled") {
        return Ok(());
    }
    let status = Status::from_headers(headers).unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(headers["content-type"], "application/grpc");
    assert!(http_body::Body::is_end_stream(response.body()));
    Err(Refused {
        retry_info: retry_delay(status.details()),
        pushback: Pushback::from_headers(status.metadata()),
        message: status.message().to_owned(),
    })
}

pub(crate) fn request(headers: &[(&'static str, &str)]) -> Request<()> {
    to(method::UNARY, headers)
}

pub(crate) fn to(method: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::post(format!("http://in-memory.test{method}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// A first attempt without a timeout.
pub(crate) async fn new(layer: &ServerRateLimitLayer) -> Result<(), Refused> {
    send(layer, request(&[])).await
}

/// A second attempt without a timeout.
pub(crate) async fn again(layer: &ServerRateLimitLayer) -> Result<(), Refused> {
    send(layer, request(&[("grpc-previous-rpc-attempts", "1")])).await
}

/// The time that a refused caller was told.
pub(crate) fn told(answer: Result<(), Refused>) -> Duration {
    answer.unwrap_err().retry_info.unwrap()
}

/// An echo server in memory under the layer.
pub(crate) fn serve(layer: ServerRateLimitLayer) -> Server {
    let boxed = |response: Response<ServerRateLimitBody<_>>| response.map(Body::new);
    let layers = ServiceBuilder::new().map_response(boxed).layer(layer);
    let service = layers.named_layer(EchoServer::new(EchoService));
    Server::builder().service(service).in_memory()
}
