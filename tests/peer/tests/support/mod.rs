//! What became of calls over a bare channel.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod chain;

use http::Request;
use http_body_util::BodyExt as _;
use peer::client::{Answer, SHORT, call_over, call_with, endpoint};
use peer::{Connection, Peer, Step};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt as _;

/// An endpoint that gives a silent connection up soon.
pub(crate) fn watchful(peer: &Peer) -> Endpoint {
    endpoint(peer.uri())
        .http2_keep_alive_interval(SHORT)
        .keep_alive_timeout(SHORT)
}

pub(crate) async fn send(channel: Channel, request: Request<Body>) -> Answer {
    channel.oneshot(request).await
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
    failure(call_over(connection).await)
}

/// What a call fails with whose stream meets these steps.
pub(crate) async fn failure_with(steps: impl IntoIterator<Item = Step>) -> String {
    failure(call_with(steps).await)
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
