//! A tonic channel without generated code, calls over it, and what became of them.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod chain;

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use peer::{Connection, Peer, Step, Stream};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower_service::Service as _;

pub(crate) type Answer = Result<Response<Body>, tonic::transport::Error>;

/// For timers that have to run out.
pub(crate) const SHORT: Duration = Duration::from_millis(100);

/// An empty message with its gRPC prefix.
const MESSAGE: &[u8] = &[0; 5];

pub(crate) fn endpoint(uri: String) -> Endpoint {
    Endpoint::from_shared(uri).unwrap()
}

pub(crate) fn channel(uri: String) -> Channel {
    endpoint(uri).connect_lazy()
}

/// An endpoint that gives a silent connection up soon.
pub(crate) fn watchful(peer: &Peer) -> Endpoint {
    endpoint(peer.uri())
        .http2_keep_alive_interval(SHORT)
        .keep_alive_timeout(SHORT)
}

pub(crate) fn request() -> Request<Body> {
    request_of(Bytes::from_static(MESSAGE))
}

pub(crate) fn request_of(body: Bytes) -> Request<Body> {
    Request::post("/test.v1.Echo/Unary")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(body)))
        .unwrap()
}

pub(crate) async fn send(mut channel: Channel, request: Request<Body>) -> Answer {
    poll_fn(|cx| channel.poll_ready(cx)).await?;
    channel.call(request).await
}

pub(crate) async fn call(channel: &Channel) -> Answer {
    send(channel.clone(), request()).await
}

/// A call that goes on beside the test.
pub(crate) fn spawn(channel: &Channel) -> JoinHandle<Answer> {
    let channel = channel.clone();
    tokio::spawn(async move { call(&channel).await })
}

/// Lets all that can run without waiting for a socket do so; exact on the one thread a test's runtime has.
pub(crate) async fn others_have_run() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// The chain of a call that failed; printed with the code that tonic makes of it.
pub(crate) fn failure(answer: Answer) -> String {
    let error = answer.expect_err("the call fails");
    let line = chain::of(&error);
    let status = tonic::Status::from_error(Box::new(error));
    println!("{:?} <- {line}", status.code());
    line
}

/// What a call over such a connection fails with.
pub(crate) async fn failure_over(connection: Connection) -> String {
    let peer = Peer::always(connection).await;
    failure(call(&channel(peer.uri())).await)
}

/// What a call fails with whose stream meets these steps.
pub(crate) async fn failure_with(steps: impl IntoIterator<Item = Step>) -> String {
    failure_over(Connection::new().other_streams(Stream::from(steps))).await
}

/// What came of a response body: its DATA, then its trailers, its end, or its error's chain.
pub(crate) async fn outcome(body: Body) -> (Vec<u8>, String) {
    let mut body = body;
    let mut data = Vec::new();
    let end = loop {
        match body.frame().await {
            None => break "end".to_owned(),
            Some(Err(status)) => {
                let line = chain::of(&status);
                println!("{:?} <- {line}", status.code());
                break line;
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap();
                    break format!("grpc-status {}", trailers["grpc-status"].to_str().unwrap());
                }
            },
        }
    };
    (data, end)
}
