//! A tonic channel without generated code, and calls over it.

pub(crate) mod client;
pub(crate) mod connector;
pub(crate) mod log;

use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::BoxError;
use http::{Request, Response};
use http_body_util::Full;
use peer::{Connection, Peer, Step, Stream};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt as _;

/// For timers that have to run out.
pub(crate) const SHORT: Duration = Duration::from_millis(100);

pub(crate) type Answer = Result<Response<Body>, tonic::transport::Error>;

pub(crate) fn endpoint(uri: String) -> Endpoint {
    Endpoint::from_shared(uri).unwrap()
}

pub(crate) fn channel(peer: &Peer) -> Channel {
    endpoint(peer.uri()).connect_lazy()
}

/// A unary request with this message.
pub(crate) fn request_of(message: &[u8]) -> Request<Body> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = [&[0], &length[..], message].concat();
    Request::post("/test.v1.Echo/Unary")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(Bytes::from(body))))
        .unwrap()
}

pub(crate) fn request() -> Request<Body> {
    request_of(b"")
}

pub(crate) async fn call(channel: &Channel) -> Answer {
    channel.clone().oneshot(request()).await
}

/// A call that goes on beside the test.
pub(crate) fn spawn(channel: &Channel) -> JoinHandle<Answer> {
    let channel = channel.clone();
    tokio::spawn(async move { call(&channel).await })
}

/// Lets all that can run without waiting for a socket do so; exact on the one thread a test's
/// runtime has.
pub(crate) async fn others_have_run() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn failed(answer: Answer) -> BoxError {
    answer.expect_err("the call fails").into()
}

/// What a call over this channel fails with.
pub(crate) async fn failure(channel: &Channel) -> BoxError {
    failed(call(channel).await)
}

/// What a call fails with whose every connection is this one.
pub(crate) async fn failure_over(connection: Connection) -> BoxError {
    let peer = Peer::always(connection).await;
    failure(&channel(&peer)).await
}

/// What a call fails with whose stream meets these steps.
pub(crate) async fn failure_with(steps: impl IntoIterator<Item = Step>) -> BoxError {
    failure_over(Connection::new().other_streams(Stream::from(steps))).await
}
