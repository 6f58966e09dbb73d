//! What the tests of the test support share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "parts of tests: no file uses all of it, none reaches further, and a failure is to be seen"
)]

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::BodyExt as _;
use test_protos::{EchoClient, EchoRequest};
use testing::{Server, grpc_frame, message, method};
use tonic::body::Body;
use tower::{Service as _, ServiceExt as _};
use transports::Channel;

/// Runs a test on an echo server over TCP, then on one in memory.
pub async fn both(test: impl AsyncFn(Server)) {
    test(Server::tcp().await).await;
    test(Server::in_memory()).await;
}

pub fn client(server: &Server) -> EchoClient<Channel> {
    EchoClient::new(server.channel())
}

pub fn hello() -> EchoRequest {
    message("hello")
}

/// A unary call without a generated client, which would interpret the answer.
pub async fn raw_unary(server: &Server) -> Response<Body> {
    let uri: Uri = format!(
        "{}{}",
        server.uri().to_string().trim_end_matches('/'),
        method::UNARY
    )
    .parse()
    .unwrap();
    let body = http_body_util::Full::new(grpc_frame(&hello()));
    let request = Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(body))
        .unwrap();
    let mut channel = server.channel();
    let answer = channel.ready().await.unwrap().call(request).await;
    answer.unwrap().map(Body::new)
}

/// What followed the head of a response.
pub struct Received {
    pub data: Bytes,
    pub trailers: Option<HeaderMap>,
}

pub async fn frames(response: Response<Body>) -> Received {
    let body = response.into_body().collect().await.unwrap();
    Received {
        trailers: body.trailers().cloned(),
        data: body.to_bytes(),
    }
}
