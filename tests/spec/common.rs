//! What several files of rules need.

use std::time::Duration;

use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::retry::{Retry, RetryLayer, RetryPolicy};
use test_protos::{EchoClient, EchoRequest};
use testing::{Answer, Call, Server};
use tonic::transport::Channel;
use tonic::{Code, Request};
use tower::Layer;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The same wait before every retry, without chance.
pub(crate) fn every(delay: Duration) -> Exponential {
    let constant = Exponential::new(delay).unwrap().multiplier(1.0).unwrap();
    constant.jitter(Jitter::None)
}

/// `GO-*`'s policy: four attempts, 10 ms apart, UNAVAILABLE.
pub(crate) fn policy() -> RetryPolicy {
    RetryPolicy::new().backoff(every(ms(10)))
}

/// A client whose channel has the retry layer and no other.
pub(crate) fn retrying(server: &Server, policy: RetryPolicy) -> EchoClient<Retry<Channel>> {
    EchoClient::new(RetryLayer::new(policy).layer(server.channel()))
}

/// A request of which nothing is declared.
pub(crate) fn undeclared() -> Request<EchoRequest> {
    Request::new(EchoRequest::default())
}

/// A request that its caller declares idempotent.
pub(crate) fn declared() -> Request<EchoRequest> {
    let mut request = undeclared();
    request.call_options().idempotent();
    request
}

pub(crate) fn unavailable(message: &str) -> Answer {
    Answer::status(Code::Unavailable, message)
}

/// `count` UNAVAILABLE answers, numbered from 1.
pub(crate) fn failures(count: usize) -> Vec<Answer> {
    (1..=count)
        .map(|number| unavailable(&format!("failure {number}")))
        .collect()
}

/// `grpc-previous-rpc-attempts`, call by call.
pub(crate) fn previous_attempts(calls: &[Call]) -> Vec<Option<&str>> {
    calls
        .iter()
        .map(|call| call.previous_attempts.as_deref())
        .collect()
}

/// What lay between the arrivals, in whole milliseconds; tokio's timer knows no finer ones.
pub(crate) fn waits(calls: &[Call]) -> Vec<u64> {
    let arrivals = calls.iter().zip(calls.iter().skip(1));
    arrivals
        .map(|(one, next)| u64::try_from((next.at - one.at).as_millis()).unwrap())
        .collect()
}
