//! The steps of a server's drain: INFO, and WARN where something was cut off.

use std::time::Duration;

use super::TARGET;

/// The drain begins: health and hooks.
#[cold]
pub(crate) fn begins(notice: Duration, grace: Duration) {
    tracing::info!(
        target: TARGET, ?notice, ?grace,
        "the server drains: it reports NOT_SERVING and runs the hooks"
    );
}

/// Health and hooks are done.
#[cold]
pub(crate) fn announced(after: Duration, notice: Duration) {
    tracing::info!(
        target: TARGET, ?after, ?notice,
        "the drain is announced: the server serves on for the notice time"
    );
}

/// A hook returned an error, or panicked.
#[cold]
pub(crate) fn hook_failed(error: &str) {
    tracing::warn!(target: TARGET, error, "a hook of the drain failed");
}

/// This many hooks did not end in their time, and were dropped.
#[cold]
pub(crate) fn hooks_timed_out(hooks: usize, timeout: Duration) {
    tracing::warn!(
        target: TARGET, hooks, ?timeout,
        "hooks of the drain did not end in time, and were dropped"
    );
}

/// The server accepts nothing more, and GOAWAY is sent.
#[cold]
pub(crate) fn goes_away(after: Duration, connections: usize) {
    tracing::info!(
        target: TARGET, ?after, connections,
        "the server sends GOAWAY, and its running calls end"
    );
}

/// All connections closed within the grace.
#[cold]
pub(crate) fn finished(after: Duration) {
    tracing::info!(target: TARGET, ?after, "the drain is over: all connections are closed");
}

/// The grace is over, and these connections were open.
#[cold]
pub(crate) fn stopped(after: Duration, connections: usize) {
    tracing::warn!(
        target: TARGET, ?after, connections,
        "the grace of the drain is over: what was still open is cut off"
    );
}
