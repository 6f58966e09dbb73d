//! A tonic channel without generated code, and what calls over it fail with.

pub(crate) mod log;

use grpc_resilience::BoxError;
use peer::client::{call_over, call_with};
use peer::{Connection, Step};
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
