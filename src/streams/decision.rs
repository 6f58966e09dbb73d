//! What a stream does next, and what that depends on.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::GiveUp;

/// The next step of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// Opens after this wait.
    Reopen {
        after: Duration,
        /// It costs what a retry costs.
        costs: bool,
    },
    /// The token is lost: opens anew, without one.
    Restart {
        after: Duration,
        /// The caller hears of it in the stream.
        is_told: bool,
    },
    /// The stream is over.
    Fail(GiveUp),
    /// The stream is complete.
    Done,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) step: Step,
    /// It takes a token from an A6 budget (CONTRACT T2).
    pub(super) is_charged: bool,
    /// It is an answer that counts against the token (CONTRACT S3).
    pub(super) is_refusal: bool,
}

/// What the moment adds to an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// A random number in `[0, 1)`.
    pub(super) unit: f64,
    /// The time until the deadline of the whole stream.
    pub(super) remaining: Option<Duration>,
}
