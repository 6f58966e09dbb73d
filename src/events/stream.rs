//! Streams that come back.

use std::time::Duration;

use super::{Failed, TARGET};

/// The stream broke off, or an opening failed, and it is opened again after `delay`.
#[cold]
pub(crate) fn reopens(method: Option<&str>, attempt: u32, failed: Failed<'_>, delay: Duration) {
    let Failed {
        code,
        reason,
        message,
        endpoint,
    } = failed;
    tracing::debug!(
        target: TARGET, method, attempt, code, reason, endpoint, ?delay, error = message,
        "the stream broke off and is opened again"
    );
}

/// The server ended the stream with OK, and it is opened again after `delay`.
#[cold]
pub(crate) fn ended(method: Option<&str>, attempt: u32, delay: Duration) {
    tracing::debug!(
        target: TARGET, method, attempt, ?delay,
        "the server ended the stream, and it is opened again"
    );
}

/// The retry budget has no permit for the next opening, which waits longer.
#[cold]
pub(crate) fn unpermitted(method: Option<&str>, attempt: u32, delay: Duration) {
    tracing::debug!(
        target: TARGET, method, attempt, ?delay,
        "the retry budget is used up, so the stream is opened again later"
    );
}

/// The token is lost: messages are missing, and the stream begins anew after `delay`.
#[cold]
pub(crate) fn token_lost(
    method: Option<&str>,
    failed: Option<Failed<'_>>,
    on_lost: &'static str,
    delay: Duration,
) {
    tracing::warn!(
        target: TARGET,
        method,
        code = failed.map(|it| it.code),
        reason = failed.map(|it| it.reason),
        endpoint = failed.and_then(|it| it.endpoint),
        on_lost,
        ?delay,
        error = failed.map(|it| it.message),
        "the stream can't resume where it broke off: messages are lost, or all of them come again"
    );
}

/// More messages came without a token than the stream may hold.
#[cold]
pub(crate) fn unresumable(method: Option<&str>, items: usize, bytes: usize) {
    tracing::warn!(
        target: TARGET, method, items, bytes,
        "no token came among the messages that the stream may hold: it goes on, and can't resume \
         until the next token"
    );
}

/// The stream failed for good.
#[cold]
pub(crate) fn failed(
    method: Option<&str>,
    attempts: u32,
    failed: Failed<'_>,
    give_up: &'static str,
) {
    let Failed {
        code,
        reason,
        message,
        endpoint,
    } = failed;
    tracing::debug!(
        target: TARGET, method, attempts, code, reason, endpoint, give_up, error = message,
        "the stream failed"
    );
}
