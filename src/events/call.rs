use std::time::Duration;

use super::TARGET;

/// A failure, as events tell it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed<'a> {
    /// gRPC's name of the code.
    pub(crate) code: &'static str,
    /// The event that ended the attempt, by its stable name.
    pub(crate) reason: &'static str,
    /// The message of the status.
    pub(crate) message: &'a str,
}

/// This attempt failed, and the request goes again after this delay: as the next attempt, or as the
/// same once more because it was not processed.
#[cold]
pub(crate) fn retries(
    method: &str,
    attempt: u32,
    failed: Failed<'_>,
    delay: Duration,
    is_transparent: bool,
) {
    let Failed {
        code,
        reason,
        message,
    } = failed;
    if is_transparent {
        tracing::debug!(
            target: TARGET, method, attempt, code, reason, ?delay, error = message,
            "the request was not processed and is sent again"
        );
    } else {
        tracing::debug!(
            target: TARGET, method, attempt, code, reason, ?delay, error = message,
            "the attempt failed and is retried"
        );
    }
}

/// The call waits for the channel, which last failed so, if it failed; the next dial is due after
/// this delay, if none is under way. The call itself was not sent, so the fields are the channel's.
#[cold]
pub(crate) fn waits(
    method: &str,
    attempt: Option<u32>,
    failed: Option<Failed<'_>>,
    delay: Option<Duration>,
) {
    tracing::debug!(
        target: TARGET,
        method,
        attempt,
        channel_code = failed.map(|it| it.code),
        channel_reason = failed.map(|it| it.reason),
        delay = delay.map(tracing::field::debug),
        channel_error = failed.map(|it| it.message),
        "the call waits for the channel"
    );
}

/// The call failed for good, after so many attempts where they were counted, and for this reason if
/// a layer decided so.
#[cold]
pub(crate) fn gave_up(
    method: Option<&str>,
    attempts: Option<u32>,
    failed: Failed<'_>,
    give_up: Option<&'static str>,
) {
    let Failed {
        code,
        reason,
        message,
    } = failed;
    tracing::debug!(
        target: TARGET, method, attempts, code, reason, give_up, error = message,
        "the call failed"
    );
}
