//! Retry policies without chance, and a client that has one.

use std::time::Duration;

use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::retry::{Retry, RetryLayer, RetryPolicy};
use test_protos::EchoClient;
use testing::Server;
use tonic::transport::Channel;
use tower::Layer;

use super::clocks::ms;

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
