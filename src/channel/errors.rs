use std::sync::Arc;

use super::connectivity::Connectivity;
use super::health::Unhealthy;
use crate::classify::{Progress, Reason, TransportError, Verdict, display_chain};
use crate::events;
use crate::grpc::Code;
use crate::methods::method_of;
use crate::report::SharedError;

/// A failure in these words and those of its cause.
pub(super) fn failed(
    verdict: Verdict,
    endpoint: Option<Arc<str>>,
    message: impl Into<String>,
    cause: Option<SharedError>,
) -> TransportError {
    let mut message = message.into();
    if let Some(cause) = &cause {
        message = format!("{message}: {}", display_chain(&**cause));
    }
    TransportError::new(verdict, endpoint, message, cause)
}

/// No connection is ready, and the call does not wait.
#[cold]
pub(super) fn not_ready(state: Connectivity, error: Option<SharedError>) -> TransportError {
    let message = format!("no connection is ready ({state}), and the call does not wait for one");
    failed(unready(error.as_ref()), None, message, error)
}

/// Logs that a call waits, for no connection is ready because of this (CONTRACT V1).
#[cold]
pub(super) fn tell_wait(path: &str, attempt: Option<u32>, last: &SharedError) {
    if !events::has_ears_for_waits() {
        return;
    }
    let verdict = unready(Some(last));
    let failed = events::Failed {
        code: verdict.code.name(),
        reason: verdict.reason.name(),
        message: &display_chain(&**last),
        endpoint: None,
    };
    events::waits(method_of(path), attempt, Some(failed), None);
}

/// No connection was made, or there is one to a server that is not healthy.
fn unready(error: Option<&SharedError>) -> Verdict {
    let is_unhealthy = error.is_some_and(|error| error.is::<Unhealthy>());
    let reason = if is_unhealthy {
        Reason::NotReady
    } else {
        Reason::ConnectFailed
    };
    Verdict::new(Progress::NotSent, Code::Unavailable, reason)
}

/// The endpoint that the call names is not ready, and the call does not wait.
#[cold]
pub(super) fn not_ready_there(
    name: &str,
    state: Connectivity,
    error: Option<SharedError>,
) -> TransportError {
    let verdict = unready(error.as_ref());
    let message = format!(
        "the endpoint `{name}`, which the call names, is not ready ({state}), and the call does \
         not wait for it"
    );
    failed(verdict, None, message, error)
}

/// The call names an endpoint that the target does not have.
#[cold]
pub(super) fn unknown_endpoint(name: &str, known: usize) -> TransportError {
    let code = Code::FailedPrecondition;
    let verdict = Verdict::new(Progress::NotSent, code, Reason::InvalidCall);
    let message = format!(
        "the endpoint `{name}`, which the call names, is none of the {known} addresses of the \
         target"
    );
    failed(verdict, None, message, None)
}

/// The server allows no streams, and the call does not wait.
#[cold]
pub(super) fn no_streams() -> TransportError {
    let verdict = Verdict::new(Progress::NotSent, Code::Unavailable, Reason::NotReady);
    let message = "the server allows no stream at the moment (MAX_CONCURRENT_STREAMS is 0), and \
                   the call does not wait for one";
    failed(verdict, None, message, None)
}

#[cold]
pub(super) fn closed(error: Option<SharedError>) -> TransportError {
    let verdict = Verdict::new(Progress::NotSent, Code::Unavailable, Reason::ChannelClosed);
    failed(verdict, None, "the channel is closed", error)
}

#[cold]
pub(super) fn queue_full(calls: usize, bytes: usize) -> TransportError {
    let code = Code::ResourceExhausted;
    let verdict = Verdict::new(Progress::NotSent, code, Reason::QueueFull);
    let message = format!(
        "{calls} calls with {bytes} bytes wait for this channel already, and max_waiting or \
         max_waiting_bytes allows no more"
    );
    failed(verdict, None, message, None)
}
