//! Events of the layers for servers: DEBUG for each call that they end, and one WARN.

use std::time::Duration;

use super::TARGET;

/// A call over its quota was refused; `after` is the hint.
#[cold]
pub(crate) fn refused(method: &str, after: Duration) {
    tracing::debug!(
        target: TARGET, method, ?after,
        "the server refused a call that is over its quota"
    );
}

/// A call arrived after its caller's deadline.
#[cold]
pub(crate) fn came_late(method: &str) {
    tracing::debug!(
        target: TARGET, method,
        "the server refused a call that came after its caller's deadline"
    );
}

/// Whether events for stopped handlers are enabled; otherwise their methods need not be kept.
#[inline]
pub(crate) fn hears_of_handlers() -> bool {
    tracing::event_enabled!(target: TARGET, tracing::Level::DEBUG)
}

/// A handler, or the response that it streamed, was stopped at its caller's deadline.
#[cold]
pub(crate) fn handler_stopped(method: &str, timeout: Duration) {
    tracing::debug!(
        target: TARGET, method, ?timeout,
        "the server stopped a handler at its caller's deadline"
    );
}

/// A `ServerDeadlineLayer` stands on a channel.
#[cold]
pub(crate) fn server_deadline_on_a_client() {
    tracing::warn!(
        target: TARGET,
        "a ServerDeadlineLayer got a request that a client of this process made: it belongs on a \
         server; on a channel use a DeadlineLayer"
    );
}
