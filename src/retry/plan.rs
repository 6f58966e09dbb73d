use std::time::Duration;

use crate::call::{Deadline, Safety};
use crate::classify::{Reason, Verdict};
use crate::error::GiveUp;

/// What a policy decides on: an attempt that failed, and the call so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// What the failure means.
    pub verdict: Verdict,
    /// How many attempts were made, this one counted; transparent retries are not.
    pub attempts: u32,
    /// How many retries were made since the start or since the server's last hint.
    pub retries: u32,
    /// The last backoff, zero at the start and after a hint.
    pub previous_backoff: Duration,
    /// How often a request that was never sent was sent again.
    pub unsent: u32,
    /// Whether a refused request was sent again already.
    pub refused: bool,
    /// Whether the call may be repeated.
    pub safety: Safety,
    /// What is left until the deadline; `None` without one.
    pub remaining: Option<Duration>,
    /// A random number in `[0, 1)`.
    pub unit: f64,
}

impl Outcome {
    /// CONTRACT D11: with at most 5 ms left, a time-out or a cancellation is the deadline. With more
    /// left it is the attempt's: a deadline layer below bounds each attempt by itself.
    pub(super) fn is_expiry(&self) -> bool {
        let code = self.verdict.code;
        self.remaining
            .is_some_and(|remaining| Deadline::is_expiry(code, remaining))
    }

    /// Why a failure is final that the policy does not retry.
    pub(super) fn why_final(&self) -> GiveUp {
        if self.has_timed_out() {
            GiveUp::Deadline
        } else {
            GiveUp::CodeNotRetryable
        }
    }

    /// Whether the attempt ended by a deadline, of the call or of a deadline layer below.
    pub(super) fn has_timed_out(&self) -> bool {
        self.is_expiry() || self.verdict.reason == Reason::DeadlineExceeded
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plan {
    /// The failure is final.
    Stop(GiveUp),
    /// The next attempt goes after this wait, if the budget allows it.
    Retry {
        /// How long to wait.
        after: Duration,
        /// Whether the server said so: then the backoff starts anew.
        hinted: bool,
    },
    /// The same attempt goes again after this wait; it counts for nothing.
    Transparent {
        /// How long to wait.
        after: Duration,
    },
}
