//! A tonic channel without generated code, what is sent over it, and what calls fail with.

pub(crate) mod log;

use std::time::Duration;

use grpc_resilience::BoxError;
use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::call::CallOptionsExt as _;
use http::Request;
use peer::client::{call_over, call_with};
use peer::{Connection, Step};
use tonic::body::Body;
use tonic::transport::Channel;

pub(crate) use peer::client::{
    Answer, SHORT, call, channel, endpoint, others_have_run, request, spawn, unary,
};

pub(crate) fn failed(answer: Answer) -> BoxError {
    answer.expect_err("the call fails").into()
}

/// What a call over this channel fails with.
pub(crate) async fn failure(channel: &Channel) -> BoxError {
    failed(call(channel).await)
}

/// What a call fails with whose every connection is this one.
pub(crate) async fn failure_over(connection: Connection) -> BoxError {
    failed(call_over(connection).await)
}

/// What a call fails with whose stream meets these steps.
pub(crate) async fn failure_with(steps: impl IntoIterator<Item = Step>) -> BoxError {
    failed(call_with(steps).await)
}

/// The same wait before every retry, without chance.
pub(crate) fn every(delay: Duration) -> Exponential {
    let constant = Exponential::new(delay).unwrap().multiplier(1.0).unwrap();
    constant.jitter(Jitter::None)
}

/// A request that its caller declares idempotent.
pub(crate) fn declared(mut request: Request<Body>) -> Request<Body> {
    request.call_options().idempotent();
    request
}
