//! Endpoints of `channel::Channel` that are ejected and come back: INFO.

use std::time::Duration;

use super::TARGET;

/// The numbers that decided an ejection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) reason: &'static str,
    pub(crate) failures_in_a_row: u32,
    /// Of the last ten seconds.
    pub(crate) calls: u32,
    pub(crate) failures: u32,
    /// The part of its calls that failed at the endpoint that was compared.
    pub(crate) better_rate: f64,
    /// The number of this ejection.
    pub(crate) times: u32,
    /// Endpoints that are ejected now, and that may be.
    pub(crate) ejected: usize,
    pub(crate) most: usize,
}

/// This endpoint gets no call for so long.
#[cold]
pub(crate) fn endpoint_ejected(endpoint: &str, numbers: Numbers, lasts: Duration) {
    let Numbers {
        reason,
        failures_in_a_row,
        calls,
        failures,
        better_rate,
        times,
        ejected,
        most,
    } = numbers;
    tracing::info!(
        target: TARGET, endpoint, reason, failures_in_a_row, calls, failures, better_rate, times,
        ejected, most, ?lasts,
        "an endpoint is ejected: it fails calls that others answer"
    );
}

/// The call that probed this endpoint failed.
#[cold]
pub(crate) fn endpoint_still_ejected(endpoint: &str, times: u32, lasts: Duration) {
    tracing::info!(
        target: TARGET, endpoint, times, ?lasts,
        "an endpoint stays ejected: the call that probed it failed"
    );
}

/// The time of an ejection is over.
#[cold]
pub(crate) fn endpoint_probed(endpoint: &str, was_out: Duration) {
    tracing::info!(
        target: TARGET, endpoint, ?was_out,
        "an ejected endpoint is to be probed: the next declared call goes there"
    );
}

/// This endpoint gets calls again.
#[cold]
pub(crate) fn endpoint_returned(endpoint: &str, was_out: Duration, has_passed: bool) {
    if has_passed {
        tracing::info!(
            target: TARGET, endpoint, ?was_out,
            "an ejected endpoint is back: the call that probed it was answered"
        );
    } else {
        tracing::info!(
            target: TARGET, endpoint, ?was_out,
            "an ejected endpoint is back: there are fewer endpoints, and too many were ejected"
        );
    }
}

/// All ready endpoints fail or are ejected, or that is over.
#[cold]
pub(crate) fn ejection_panic(is_on: bool, ready: usize, ejected: usize, failing: usize) {
    if is_on {
        tracing::info!(
            target: TARGET, ready, ejected, failing,
            "all ready endpoints of a channel fail calls or are ejected, so all are used"
        );
    } else {
        tracing::info!(
            target: TARGET, ready, ejected, failing,
            "not all ready endpoints of a channel fail calls or are ejected any more"
        );
    }
}
