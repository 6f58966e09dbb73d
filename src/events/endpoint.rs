//! State changes of an endpoint of `channel::Channel`.

use std::time::Duration;

use super::TARGET;

/// The state of this endpoint changed: with the error of its last dial, and the delay before the
/// next, if no connection can be made.
#[cold]
pub(crate) fn endpoint_state(
    endpoint: &str,
    before: &'static str,
    state: &'static str,
    error: Option<&str>,
    fault: Option<&'static str>,
    delay: Option<Duration>,
) {
    let delay = delay.map(tracing::field::debug);
    match fault {
        None => tracing::info!(
            target: TARGET, endpoint, before, state, error, delay,
            "the state of an endpoint changed"
        ),
        Some(fault) => tracing::warn!(
            target: TARGET, endpoint, before, state, fault, error, delay,
            "no connection to an endpoint can be made, and waiting rarely cures it"
        ),
    }
}

/// No connection can be made with the new settings of TLS.
#[cold]
pub(crate) fn connection_not_renewed(endpoint: &str, error: &str) {
    tracing::warn!(
        target: TARGET, endpoint, error,
        "no connection to an endpoint can be made with the new TLS settings, so the connections with \
         earlier ones stay until one can be made"
    );
}

/// This endpoint closed a connection for the PINGs on it, which now come half as often.
#[cold]
pub(crate) fn too_many_pings(endpoint: &str, keep_alive_interval: Duration) {
    tracing::warn!(
        target: TARGET, endpoint, ?keep_alive_interval,
        "the server closed a connection for too many keepalive PINGs, so they are sent half as \
         often from now on: set a longer http2_keep_alive_interval, or let the server permit them"
    );
}

/// This endpoint says nothing on a connection, which has to answer a PING.
#[cold]
pub(crate) fn connection_is_silent(endpoint: &str, timeouts: u32) {
    tracing::info!(
        target: TARGET, endpoint, timeouts,
        "attempts timed out on a connection from which nothing was read: it gets no call until it \
         answers a PING, and another one is made"
    );
}

/// The PING was answered.
#[cold]
pub(crate) fn connection_answers(endpoint: &str, silent_for: Duration) {
    tracing::info!(
        target: TARGET, endpoint, ?silent_for,
        "a silent connection answers, and gets calls again"
    );
}

/// The PING was not answered in time.
#[cold]
pub(crate) fn connection_is_dead(endpoint: &str, timeouts: u32) {
    tracing::warn!(
        target: TARGET, endpoint, timeouts,
        "a silent connection did not answer a PING, and is closed: the server is frozen, or its \
         address has moved, or a firewall or a proxy has forgotten the connection"
    );
}

/// This endpoint breaks HTTP/2 or floods the connection.
#[cold]
pub(crate) fn hostile_peer(endpoint: &str, reason: &str) {
    tracing::warn!(
        target: TARGET, endpoint, reason,
        "the server breaks HTTP/2 or floods the connection: it is no gRPC server, or a proxy or an \
         attacker is in the way"
    );
}

/// The health of this endpoint changed; `before` if it was known.
#[cold]
pub(crate) fn health_changed(endpoint: &str, service: &str, before: Option<&str>, health: &str) {
    tracing::info!(
        target: TARGET, endpoint, service, before, health,
        "the health of an endpoint changed"
    );
}

/// The health of this endpoint can't be checked.
#[cold]
pub(crate) fn health_unchecked(endpoint: &str, service: &str, reason: &str) {
    tracing::warn!(
        target: TARGET, endpoint, service, reason,
        "the health of an endpoint can't be checked, so it counts as healthy: let the server have \
         a health service and room for the watch, or remove the health_check"
    );
}
