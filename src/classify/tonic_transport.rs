//! The adapter that knows the errors of tonic, hyper, h2 and tower below our layers.
//!
//! hyper does not guarantee the sources of its errors, so every row is tested over a raw HTTP/2
//! peer.

use std::error::Error;
use std::io;

use h2::Reason as H2Reason;
use tower::balance::error::Discover;
use tower::buffer::error::{Closed, ServiceError};
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;

use crate::grpc::Code;

use super::answer::answer;
use super::connect_fault::INVALID_URI;
use super::{Progress, Reason, Verdict, chain};

/// The verdict on a chain that holds a known type; the outermost proof wins.
///
/// Below a status nothing proves that a request did not run: a status is the answer of a service,
/// and its source may be the failure of another call that the service made.
pub(super) fn verdict(error: &(dyn Error + 'static)) -> Option<Verdict> {
    let mut parent = None;
    let mut fallback = None;
    let mut below_status = false;
    for cause in chain(error) {
        if let Some(mut verdict) = proof(cause, parent) {
            if below_status && verdict.progress.is_unprocessed() {
                verdict.progress = Progress::Reached;
            }
            return Some(verdict);
        }
        below_status |= cause.is::<tonic::Status>();
        if fallback.is_none() {
            fallback = guess(cause);
        }
        parent = Some(cause);
    }
    fallback
}

/// Whether a link is a status that tonic made from its source. Its code and message depend on
/// tonic's features; the source is more precise.
pub(super) fn repeats_source(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<tonic::Status>() && cause.source().is_some()
}

/// What one link of the chain proves on its own.
fn proof(cause: &(dyn Error + 'static), parent: Option<&(dyn Error + 'static)>) -> Option<Verdict> {
    #[cfg(feature = "channel")]
    if let Some(error) = cause.downcast_ref::<super::TransportError>() {
        return Some(error.verdict());
    }
    if cause.is::<tonic::ConnectError>() {
        return Some(not_sent(Reason::ConnectFailed));
    }
    if cause.is::<tonic::TimeoutExpired>() {
        // tonic's timer runs for `grpc-timeout` or for the endpoint's timeout; the error does not
        // name which.
        return Some(reached(Code::DeadlineExceeded, Reason::TransportTimedOut));
    }
    if cause.is::<Elapsed>() {
        return Some(reached(Code::DeadlineExceeded, Reason::AttemptTimedOut));
    }
    if cause.is::<ServiceError>() || cause.is::<Closed>() || cause.is::<Discover>() {
        return Some(not_sent(Reason::ChannelClosed));
    }
    if cause.is::<Overloaded>() {
        let (progress, code) = (Progress::NotSent, Code::ResourceExhausted);
        return Some(Verdict::new(progress, code, Reason::Overloaded));
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return from_hyper(error);
    }
    if let Some(error) = cause.downcast_ref::<h2::Error>() {
        return from_h2(error);
    }
    if let Some(error) = cause.downcast_ref::<tonic::transport::Error>() {
        return from_tonic(error);
    }
    let io = cause.downcast_ref::<io::Error>()?;
    let under_transport = parent.is_some_and(<dyn Error>::is::<tonic::transport::Error>);
    if under_transport && io.kind() == io::ErrorKind::TimedOut {
        // tonic's connect timeout around a custom connector.
        return Some(not_sent(Reason::ConnectFailed));
    }
    parent
        .is_some_and(|parent| parent.is::<hyper::Error>() || parent.is::<h2::Error>())
        .then(|| reached(Code::Unavailable, Reason::ConnectionLost))
}

/// What one link suggests if no link below it proves anything.
fn guess(cause: &(dyn Error + 'static)) -> Option<Verdict> {
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        // hyper marks two errors as "user": a connection's task that is gone, and a request body
        // that failed. Only the message distinguishes them, and only the code depends on it.
        let body_failed = error.is_user() && !error.to_string().contains("dispatch task is gone");
        return (!body_failed).then(|| reached(Code::Unavailable, Reason::ConnectionLost));
    }
    let status = cause.downcast_ref::<tonic::Status>()?;
    let mut verdict = answer(&crate::grpc::Status::from(status));
    verdict.progress = Progress::Reached;
    // A limit of this side has the same message as the server's.
    if !verdict.reason.is_incurable() {
        verdict.reason = Reason::ForeignStatus;
    }
    Some(verdict)
}

/// Only the message shows the kind. Such an endpoint takes no call, and tonic reads none.
fn from_tonic(error: &tonic::transport::Error) -> Option<Verdict> {
    let is_invalid = error.source().is_none() && error.to_string() == INVALID_URI;
    let (progress, code) = (Progress::NotSent, Code::InvalidArgument);
    is_invalid.then(|| Verdict::new(progress, code, Reason::InvalidCall))
}

fn from_hyper(error: &hyper::Error) -> Option<Verdict> {
    if error.is_canceled() {
        return Some(not_sent(Reason::Queued));
    }
    error
        .is_timeout()
        .then(|| reached(Code::Unavailable, Reason::KeepaliveTimeout))
}

fn from_h2(error: &h2::Error) -> Option<Verdict> {
    if error.is_io() {
        return Some(reached(Code::Unavailable, Reason::ConnectionLost));
    }
    if error.is_remote() && error.is_go_away() {
        let is_graceful = error.reason() == Some(H2Reason::NO_ERROR);
        return Some(refused(if is_graceful {
            Reason::GoAway
        } else {
            Reason::GoAwayError
        }));
    }
    if error.is_library() && error.is_go_away() {
        // The peer broke the protocol, for example with HTTP/1, and this side closed the
        // connection.
        return Some(reached(Code::Unavailable, Reason::ConnectionLost));
    }
    let reason = error.reason()?;
    if error.is_remote() && error.is_reset() && reason == H2Reason::REFUSED_STREAM {
        return Some(refused(Reason::StreamRefused));
    }
    Some(reached(code_of(reason), Reason::StreamReset))
}

/// CONTRACT H3, PROTOCOL-HTTP2 "Errors".
pub(crate) fn code_of(reason: H2Reason) -> Code {
    match reason {
        H2Reason::REFUSED_STREAM => Code::Unavailable,
        H2Reason::CANCEL => Code::Cancelled,
        H2Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        H2Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        _ => Code::Internal,
    }
}

fn not_sent(reason: Reason) -> Verdict {
    Verdict::new(Progress::NotSent, Code::Unavailable, reason)
}

fn refused(reason: Reason) -> Verdict {
    Verdict::new(Progress::Refused, Code::Unavailable, reason)
}

fn reached(code: Code, reason: Reason) -> Verdict {
    Verdict::new(Progress::Reached, code, reason)
}
