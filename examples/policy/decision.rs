//! The policy of this example: all that a user writes.

use std::time::Duration;

use grpc_resilience::grpc::Code;
use grpc_resilience::retry::{Outcome, Plan, Policy, RetryPolicy};

/// A bid that collided with another goes again almost at once, up to ten times; all else is left to
/// the standard policy, which also honours the server's hints and the caller's options.
#[derive(Debug, Default)]
pub(crate) struct Collisions {
    otherwise: RetryPolicy,
}

impl Policy for Collisions {
    fn decide(&self, outcome: &Outcome<'_>) -> Plan {
        let verdict = &outcome.verdict;
        let collided = verdict.code == Code::Aborted && verdict.hint.is_none();
        let after = Duration::from_millis(5).mul_f64(outcome.unit);
        let in_time = outcome.remaining.is_none_or(|left| after < left);
        if collided && in_time && outcome.attempts < 10 && outcome.may_repeat(false) {
            return Plan::retry(after);
        }
        self.otherwise.decide(outcome)
    }
}
