//! A bound for each attempt by itself.

mod answers;
mod bounds;
mod early_expiry;
mod last_attempt;
mod requests;
mod retried;
mod streams;

use std::time::Duration;

use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::classify::{Progress, Reason};
use tonic::{Code, Status};

use crate::support::{ours, policy};

const LIMIT: Duration = Duration::from_millis(300);

/// How much later an end the server is told of: a twentieth (CONTRACT D11).
const GRACE: Duration = Duration::from_millis(15);

/// That in microseconds, as a server hears of it.
const TOLD: Option<u128> = Some(315_000);

fn limit() -> AttemptTimeoutLayer {
    AttemptTimeoutLayer::new(LIMIT).unwrap()
}

/// Whether it is an attempt's own end, and how far the attempt got.
fn timed_out(status: &Status) -> Progress {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    let verdict = ours(status)[0].verdict();
    assert_eq!(verdict.reason, Reason::AttemptTimedOut, "{status:?}");
    verdict.progress
}
