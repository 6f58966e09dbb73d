use std::time::Duration;

use super::TARGET;

/// The fields of a failure in events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed<'a> {
    /// gRPC's name of the code.
    pub(crate) code: &'static str,
    /// The stable name of the event that ended the attempt.
    pub(crate) reason: &'static str,
    /// The message of the status.
    pub(crate) message: &'a str,
    /// The endpoint that had the attempt, if the channel below reports endpoints.
    pub(crate) endpoint: Option<&'a str>,
}

/// The attempt failed and the request is sent again after `delay`: as the next attempt, or within
/// this one because it was not processed.
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
        endpoint,
    } = failed;
    if is_transparent {
        tracing::debug!(
            target: TARGET, method, attempt, code, reason, endpoint, ?delay, error = message,
            "the request was not processed and is sent again"
        );
    } else {
        tracing::debug!(
            target: TARGET, method, attempt, code, reason, endpoint, ?delay, error = message,
            "the attempt failed and is retried"
        );
    }
}

/// Whether the event of [`waits`] is heard.
#[cfg(feature = "channel")]
pub(crate) fn has_ears_for_waits() -> bool {
    tracing::event_enabled!(target: TARGET, tracing::Level::DEBUG)
}

/// The call waits for the channel; `delay` is the time until the next dial, if none is under way.
/// The call itself was not sent, so the fields are those of the channel's last failure.
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

/// The call failed for good; `attempts` if they were counted, `give_up` if a layer decided it.
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
        endpoint,
    } = failed;
    tracing::debug!(
        target: TARGET, method, attempts, code, reason, endpoint, give_up, error = message,
        "the call failed"
    );
}
