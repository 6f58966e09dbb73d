use std::sync::Arc;
use std::time::Duration;

use crate::backoff::{Backoff, Exponential, Jitter};
use crate::call::{CallOptions, Patience};
use crate::classify::{Reason, Verdict};

/// So many times the endpoints must fail in a row before a balanced channel counts as down: each
/// failure says something of one endpoint only.
const ROUNDS: u32 = 3;

/// When the channel counts as down, and when it is tried again: a pure decision.
#[derive(Clone, Debug)]
pub struct WaitForReadyPolicy {
    pub(super) patience: Patience,
    pub(super) backoff: Arc<dyn Backoff>,
    pub(super) endpoints: u32,
}

impl WaitForReadyPolicy {
    /// What a call does while the channel is down: its own wish, then the layer's.
    #[must_use]
    pub fn patience(&self, options: Option<&CallOptions>) -> Patience {
        options
            .and_then(CallOptions::chosen_patience)
            .unwrap_or(self.patience)
    }

    /// Whether the channel counts as down after so many failed connects in a row.
    #[must_use]
    pub fn is_down(&self, failures: u32) -> bool {
        match self.endpoints {
            1 => failures >= 1,
            endpoints => failures >= endpoints.saturating_mul(ROUNDS),
        }
    }

    /// Whether a failure says that the channel is down, rather than something of the server.
    #[must_use]
    pub fn is_failed_connect(verdict: &Verdict) -> bool {
        verdict.reason == Reason::ConnectFailed && verdict.progress.is_unprocessed()
    }

    /// Whether a failure shows that there was a connection: all do but those that need none.
    #[must_use]
    pub fn shows_a_connection(verdict: &Verdict) -> bool {
        !matches!(
            verdict.reason,
            Reason::ConnectFailed
                | Reason::ChannelClosed
                | Reason::AttemptTimedOut
                | Reason::DeadlineExceeded
                | Reason::InvalidCall
                | Reason::NotReady
                | Reason::Throttled
        )
    }

    /// How long the channel is left alone after the `dials`-th failed dial since it went down.
    #[must_use]
    pub fn next_dial(&self, dials: u32, previous: Duration, unit: f64) -> Duration {
        self.backoff.delay(dials, previous, unit)
    }
}

impl Default for WaitForReadyPolicy {
    /// Source: [connection-backoff](https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md)
    /// (CONTRACT W5).
    fn default() -> Self {
        let curve = Exponential::standard(Duration::from_secs(1), 1.6, Duration::from_secs(120));
        Self {
            patience: Patience::WaitForReady,
            backoff: Arc::new(curve.jitter(Jitter::A6)),
            endpoints: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Progress;
    use crate::grpc::Code;

    #[test]
    fn one_failure_says_that_a_single_endpoint_is_down_but_not_that_all_of_several_are() {
        let mut policy = WaitForReadyPolicy::default();
        assert!(!policy.is_down(0));
        assert!(policy.is_down(1));
        policy.endpoints = 3;
        assert!(!policy.is_down(8));
        assert!(policy.is_down(9));
    }

    // CONTRACT W5
    #[test]
    fn the_default_backoff_is_grpc_s() {
        let policy = WaitForReadyPolicy::default();
        let middle = |dials| policy.next_dial(dials, Duration::ZERO, 0.5).as_millis();
        assert_eq!(middle(1), 1_000);
        assert_eq!(middle(2), 1_600);
        assert_eq!(middle(50), 120_000);
    }

    #[test]
    fn what_was_held_back_below_shows_no_connection() {
        let failure = |reason| Verdict::new(Progress::NotSent, Code::Unavailable, reason);
        let shows = WaitForReadyPolicy::shows_a_connection;
        assert!(!shows(&failure(Reason::Throttled)));
        assert!(shows(&failure(Reason::Queued)));
    }

    #[test]
    fn a_call_s_own_wish_beats_the_layer_s() {
        let policy = WaitForReadyPolicy::default();
        let mut options = CallOptions::default();
        assert_eq!(policy.patience(Some(&options)), Patience::WaitForReady);
        options.fail_fast();
        assert_eq!(policy.patience(Some(&options)), Patience::FailFast);
    }
}
