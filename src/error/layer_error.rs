use std::fmt;
use std::sync::Arc;

use http::HeaderMap;

use crate::classify::{self, ConnectFault, Endpoint, Reason, Verdict, display_chain};
use crate::events::Failed;
use crate::grpc::{Code, Status, Vouched, leader_hint};
use crate::report::{CallReport, SharedError};

use super::shown::{Shown, foreign_status, is_foreign_status, shown};
use super::{BoxError, GiveUp};

/// A failed call, as every acting layer of this crate returns it. The idempotency and budget layers
/// only annotate and pass on the inner service's errors.
///
/// Each part is stated in one place:
///
/// - `Display` is the part that the layers add: the code, the event that ended the last attempt,
///   and why no further attempt was made;
/// - `source()` is the status with its message: a `tonic::Status` with the `tonic` feature, a
///   [`grpc::Status`](crate::grpc::Status) without. A generated client makes its own status from
///   it. The chain ends there, because the message contains the texts of the cause;
/// - [`cause`](Self::cause) is the error that led to the failure, with its type.
///
/// So a printer of chains shows each text once. `{:#?}` shows all parts in one line.
///
/// ```
/// use grpc_resilience::Error;
///
/// fn was_refused(status: &tonic::Status) -> bool {
///     let error = Error::find(status);
///     let mut cause = error.and_then(Error::cause).map(|it| it as &dyn std::error::Error);
///     while let Some(link) = cause {
///         if let Some(io) = link.downcast_ref::<std::io::Error>() {
///             return io.kind() == std::io::ErrorKind::ConnectionRefused;
///         }
///         cause = link.source();
///     }
///     false
/// }
/// ```
#[derive(Clone)]
pub struct Error(pub(super) Box<Inner>);

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) verdict: Verdict,
    pub(super) status: Status,
    pub(super) give_up: Option<GiveUp>,
    pub(super) attempts: u32,
    pub(super) cause: Option<SharedError>,
    pub(super) fault: Option<ConnectFault>,
    pub(super) report: Option<CallReport>,
    pub(super) handed_back: bool,
    /// The channel knows its connections, so its verdict needs no further evidence.
    pub(super) is_proven: bool,
    pub(super) endpoint: Option<Endpoint>,
    /// An event for this failure was emitted.
    pub(super) is_logged: bool,
    /// The status that users see as the source.
    shown: Shown,
    /// The server's guarantee that the request had no effect, from an answer that a layer below
    /// turned into another failure (CONTRACT D11, I7).
    pub(super) vouched: Option<Vouched>,
}

impl Error {
    pub(super) fn build(verdict: Verdict, status: Status, cause: Option<SharedError>) -> Self {
        let status = status.without_vouch();
        Self(Box::new(Inner {
            verdict,
            // Without a source: the message contains the text of the cause, and the status of
            // another call would show its metadata.
            shown: shown(&status),
            status,
            give_up: None,
            attempts: 0,
            fault: fault(verdict, cause.as_ref()),
            cause,
            report: None,
            handed_back: false,
            is_proven: false,
            endpoint: None,
            is_logged: false,
            vouched: None,
        }))
    }

    /// This failure with another verdict, status or cause.
    pub(super) fn remade(
        self,
        verdict: Verdict,
        status: Status,
        cause: Option<SharedError>,
    ) -> Self {
        let Inner {
            give_up,
            attempts,
            report,
            is_logged,
            vouched,
            is_proven,
            endpoint,
            ..
        } = *self.0;
        let mut remade = Self::build(verdict, status, cause);
        remade.0.give_up = give_up;
        remade.0.attempts = attempts;
        remade.0.report = report;
        remade.0.is_logged = is_logged;
        remade.0.vouched = vouched;
        remade.0.is_proven = is_proven;
        remade.0.endpoint = endpoint;
        remade
    }

    /// Converts an inner service's error: keeps an [`Error`] of this crate and classifies any
    /// other.
    pub fn from_inner(error: impl Into<BoxError>) -> Self {
        let error = match error.into().downcast::<Self>() {
            Ok(ours) => return *ours,
            Err(error) => error,
        };
        let (verdict, status, marks) = if let Some(ours) = wrapped(&*error) {
            let marks = (ours.0.handed_back, ours.0.is_logged);
            (ours.verdict(), ours.status().clone(), marks)
        } else {
            let verdict = classify::failure(&*error);
            (verdict, inner_status(&*error, verdict), (false, false))
        };
        let (is_proven, endpoint) = of_channel(&*error);
        let mut built = Self::build(verdict, status, Some(Arc::from(error)));
        (built.0.handed_back, built.0.is_logged) = marks;
        (built.0.is_proven, built.0.endpoint) = (is_proven, endpoint);
        built
    }

    /// Finds the error of a layer in an error's chain, such as that of a generated client's status.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        layer_errors(error).next()
    }

    /// Whether it comes from a channel that knows for each request whether it was sent, and reports
    /// its own readiness.
    pub(crate) fn is_proven(&self) -> bool {
        self.0.is_proven
    }

    /// The endpoint that had the call or answered it, if the channel below reports it.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.0.endpoint.as_ref()
    }

    /// The leader, where a server that is not the leader named it (CONTRACT E6).
    pub(crate) fn leader(&self) -> Option<Endpoint> {
        let leader = leader_hint(self.0.status.details())?;
        Some(Endpoint::new(leader.into()))
    }

    /// The classification of the failure.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.0.verdict
    }

    /// The code that the caller sees.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.status.code()
    }

    /// The whole status that the caller sees.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.0.status
    }

    /// The failure's fields for events.
    pub(crate) fn event(&self) -> Failed<'_> {
        Failed {
            code: self.code().name(),
            reason: self.0.verdict.reason.name(),
            message: self.0.status.message(),
            endpoint: self.0.endpoint.as_ref().map(Endpoint::name),
        }
    }

    /// Code and message, for a text of this crate that contains this failure.
    pub(crate) fn words(&self) -> String {
        format!("{}: {}", self.code(), self.0.status.message())
    }

    /// The metadata that came with the status.
    #[must_use]
    pub fn metadata(&self) -> &HeaderMap {
        self.0.status.metadata()
    }

    /// The error that led to the failure: the transport's error, or the last failure before an
    /// expiry. `None` if the server answered.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// Why no connection can be made, if waiting rarely cures it. For a call that waited: the fault
    /// of the last dial.
    #[must_use]
    pub fn connect_fault(&self) -> Option<ConnectFault> {
        self.0.fault
    }

    /// Why no further attempt was made; `None` if no layer decided it.
    #[must_use]
    pub fn give_up(&self) -> Option<GiveUp> {
        self.0.give_up
    }

    /// How many attempts the retry layer began; 0 without a retry layer. An attempt that only
    /// waited for the channel counts.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The report of the call; `None` if no layer recorded it.
    #[must_use]
    pub fn report(&self) -> Option<&CallReport> {
        self.0.report.as_ref()
    }
}

impl GiveUp {
    /// Finds the reason in an error's source chain, such as that of a generated client's status.
    #[must_use]
    pub fn find(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        layer_errors(error).find_map(Error::give_up)
    }
}

impl ConnectFault {
    /// Finds the fault in an error's source chain, such as that of a generated client's status.
    #[must_use]
    pub fn find(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let found = layer_errors(error).find_map(Error::connect_fault);
        #[cfg(feature = "channel")]
        let found = found.or_else(|| classify::TransportError::find(error)?.connect_fault());
        found
    }
}

impl CallReport {
    /// Finds the report in an error's source chain, such as that of a generated client's status.
    #[must_use]
    pub fn find(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        // A second one further down may be the cause of this failure, and belong to another call.
        Error::find(error)?.report().cloned()
    }
}

/// The layers' errors in a chain, outermost first; after each one follows its cause.
fn layer_errors<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a Error> {
    let links = std::iter::successors(Some(error), |link| match link.downcast_ref::<Error>() {
        Some(ours) => ours.cause().map(|cause| cause as _),
        None => (*link).source(),
    });
    links.filter_map(|link| link.downcast_ref::<Error>())
}

/// Our error inside a foreign layer's error. It is ignored below a status, because the status may
/// be the answer of a service whose own call failed with our error.
fn wrapped<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let chain = classify::chain(error);
    let mut chain = chain.take_while(|cause| !is_foreign_status(*cause));
    chain.find_map(|cause| cause.downcast_ref::<Error>())
}

/// Whether a channel that knows its connections returned it, and the endpoint. Read from the
/// failure or from a layer's error that contains it, but not below a status.
fn of_channel(error: &(dyn std::error::Error + 'static)) -> (bool, Option<Endpoint>) {
    if let Some(ours) = wrapped(error) {
        return (ours.0.is_proven, ours.0.endpoint.clone());
    }
    #[cfg(feature = "channel")]
    if let Some(error) = classify::TransportError::of_call(error) {
        return (true, error.endpoint().cloned());
    }
    (false, None)
}

/// A foreign status keeps its message. A transport error gets the texts of its chain and, where
/// waiting rarely cures it, the advice.
fn inner_status(error: &(dyn std::error::Error + 'static), verdict: Verdict) -> Status {
    let foreign = match verdict.reason {
        Reason::ForeignStatus | Reason::MessageTooLarge => foreign_status(error),
        _ => None,
    };
    foreign.unwrap_or_else(|| {
        #[cfg(feature = "channel")]
        if let Some(own) = classify::TransportError::of_call(error) {
            return Status::new(verdict.code, own.message());
        }
        let chain = display_chain(error);
        let message = match transport_fault(verdict, error) {
            Some(fault) => format!("{chain}; {fault}"),
            None => chain,
        };
        Status::new(verdict.code, message)
    })
}

/// The fault of this failure's connection, or of the connection that the call waited for.
fn fault(verdict: Verdict, cause: Option<&SharedError>) -> Option<ConnectFault> {
    let cause: &(dyn std::error::Error + 'static) = &**cause?;
    if let Some(last) = cause.downcast_ref::<Error>() {
        return last.connect_fault();
    }
    #[cfg(feature = "channel")]
    if let Some(own) = classify::TransportError::of_call(cause) {
        return own.connect_fault();
    }
    transport_fault(verdict, cause)
}

/// A server may refuse a client's certificate after the handshake; the client then sees a lost
/// connection.
fn transport_fault(
    verdict: Verdict,
    error: &(dyn std::error::Error + 'static),
) -> Option<ConnectFault> {
    matches!(
        verdict.reason,
        Reason::ConnectFailed | Reason::ConnectionLost | Reason::Queued | Reason::InvalidCall
    )
    .then(|| ConnectFault::of(error))?
}

/// The part that the layers add; the status is the source.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.code(), self.0.verdict.reason)?;
        let Some(give_up) = self.0.give_up else {
            return Ok(());
        };
        match self.0.attempts {
            0 => write!(f, ": {give_up}"),
            1 => write!(f, " after 1 attempt: {give_up}"),
            attempts => write!(f, " after {attempts} attempts: {give_up}"),
        }
    }
}

/// Shows no metadata, which may be secret, and no message, because a client's status appends this
/// form of its source to its message. The alternate form shows the message.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grpc_resilience::Error({self}")?;
        if f.alternate() {
            write!(f, "; message: {:?}", self.0.status.message())?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Progress;

    #[derive(Debug, thiserror::Error)]
    #[error("a foreign layer's error")]
    struct Foreign(#[source] BoxError);

    fn unsent() -> tonic::ConnectError {
        tonic::ConnectError("refused".into())
    }

    #[test]
    fn an_error_of_ours_is_found_inside_a_foreign_layer_s() {
        let ours = Error::from_inner(unsent()).given_up(GiveUp::NotReady, 1);
        let found = Error::from_inner(Foreign(ours.into()));
        assert_eq!(found.verdict().progress, Progress::NotSent);
        assert_eq!(GiveUp::find(&found), Some(GiveUp::NotReady));
    }

    // CONTRACT I2
    #[test]
    fn the_failure_of_another_call_proves_nothing_of_this_one() {
        let gateway = |source: BoxError| {
            let mut status = tonic::Status::unavailable("the backend is down");
            status.set_source(Arc::from(source));
            Error::from_inner(status)
        };
        for error in [
            gateway(unsent().into()),
            gateway(Error::from_inner(unsent()).into()),
        ] {
            assert_eq!(error.verdict().progress, Progress::Reached);
        }
    }
}
