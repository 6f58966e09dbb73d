//! Retry policies without chance.

use std::time::Duration;

use grpc_resilience::backoff::{Exponential, Jitter};
use grpc_resilience::retry::RetryPolicy;

use crate::ms;

/// The same wait before every retry, without chance.
///
/// # Panics
///
/// If the delay is zero.
#[expect(clippy::expect_used, reason = "a test that can't be set up has failed")]
#[must_use]
pub fn every(delay: Duration) -> Exponential {
    let constant = Exponential::new(delay).and_then(|backoff| backoff.multiplier(1.0));
    let constant = constant.expect("the delay is more than zero");
    constant.jitter(Jitter::None)
}

/// `GO-*`'s policy: four attempts, 10 ms apart, UNAVAILABLE.
#[must_use]
pub fn policy() -> RetryPolicy {
    RetryPolicy::new().backoff(every(ms(10)))
}
