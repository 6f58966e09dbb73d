//! State changes of a channel: INFO, once an outage.

use std::time::Duration;

use super::{Failed, TARGET};

/// No connection can be made; the next dial is due after `delay`.
#[cold]
pub(crate) fn channel_is_down(failed: Failed<'_>, fault: Option<&'static str>, delay: Duration) {
    let Failed {
        code,
        reason,
        message,
        endpoint,
    } = failed;
    match fault {
        None => tracing::info!(
            target: TARGET, code, reason, endpoint, ?delay, error = message,
            "the channel is down"
        ),
        Some(fault) => tracing::warn!(
            target: TARGET, code, reason, endpoint, fault, ?delay, error = message,
            "the channel is down, and waiting rarely cures it"
        ),
    }
}

/// A call was answered, the first one after `down_for`.
#[cold]
pub(crate) fn channel_is_back(down_for: Duration) {
    tracing::info!(target: TARGET, ?down_for, "the channel is back");
}

/// The channel takes no more calls.
#[cold]
pub(crate) fn channel_is_shut_down(failed: Failed<'_>) {
    let Failed {
        code,
        reason,
        message,
        endpoint,
    } = failed;
    tracing::warn!(
        target: TARGET, code, reason, endpoint, error = message,
        "the channel is shut down and takes no more calls: create a new one"
    );
}

/// `calls` waiting calls go to the channel.
#[cold]
pub(crate) fn calls_released(calls: usize) {
    tracing::debug!(target: TARGET, calls, "the calls that waited go to the channel");
}

/// New settings of TLS have these faults.
#[cold]
#[cfg(feature = "channel")]
pub(crate) fn tls_config_refused(error: &str) {
    tracing::warn!(
        target: TARGET, error,
        "the new TLS settings of a channel are of no use, so those before them stay"
    );
}

/// Fewer endpoints are healthy than the fraction `panic_below`, or as many again.
#[cold]
#[cfg(feature = "channel")]
pub(crate) fn health_ignored(
    target: &str,
    healthy: usize,
    connected: usize,
    panic_below: f64,
    is_ignored: bool,
) {
    if is_ignored {
        tracing::warn!(
            target: TARGET, channel = target, healthy, connected, panic_below,
            "too few of the connected endpoints are healthy, so those that are not get calls, too"
        );
    } else {
        tracing::info!(
            target: TARGET, channel = target, healthy, connected, panic_below,
            "enough of the connected endpoints are healthy again: the others get no call"
        );
    }
}
