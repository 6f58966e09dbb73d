use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::{ConnectFault, Endpoint, Progress, Reason, Verdict};

/// A failure of [`Channel`](crate::channel::Channel), which knows for each request whether it was
/// sent and to which endpoint (CONTRACT C16, C17).
///
/// The verdict needs no evidence from elsewhere: [`Progress::NotSent`] and [`Progress::Refused`]
/// are proven by what passed on the connection. Its `source()` is a `tonic::Status` with the code
/// and the whole message, of which a generated client makes its own status, and behind that is the
/// error that led to it.
///
/// ```
/// use grpc_resilience::classify::TransportError;
///
/// fn endpoint_of(status: &tonic::Status) -> Option<&str> {
///     Some(TransportError::find(status)?.endpoint()?.name())
/// }
/// ```
pub struct TransportError(Box<Inner>);

struct Inner {
    verdict: Verdict,
    endpoint: Option<Endpoint>,
    fault: Option<ConnectFault>,
    /// It was logged that the call waits for the channel.
    has_told_wait: bool,
    status: tonic::Status,
}

impl TransportError {
    pub(crate) fn new(
        verdict: Verdict,
        endpoint: Option<Arc<str>>,
        mut message: String,
        cause: Option<Arc<dyn Error + Send + Sync>>,
    ) -> Self {
        let fault = cause.as_ref().and_then(|cause| fault(verdict, &**cause));
        if let Some(fault) = fault {
            message = format!("{message}; {fault}");
        }
        let mut status = tonic::Status::new(verdict.code.into(), message);
        if let Some(cause) = cause {
            status.set_source(cause);
        }
        Self(Box::new(Inner {
            verdict,
            endpoint: endpoint.map(Endpoint::new),
            fault,
            has_told_wait: false,
            status,
        }))
    }

    /// The first one in an error's chain, such as that of a generated client's status.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        super::chain(error).find_map(|link| link.downcast_ref::<Self>())
    }

    /// The failure of the call that this error is of: behind a status it would be another call's.
    pub(crate) fn of_call<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        super::chain(error)
            .take_while(|link| !link.is::<tonic::Status>())
            .find_map(|link| link.downcast_ref::<Self>())
    }

    /// What the failure means.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.0.verdict
    }

    /// How far the request provably got.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.0.verdict.progress
    }

    /// The endpoint whose connection failed, such as `10.0.0.1:50051`; `None` if the request was
    /// given to none.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.0.endpoint.as_ref()
    }

    /// Why no connection can be made, if waiting rarely cures it. For a call that waited: the fault
    /// of the last dial.
    #[must_use]
    pub fn connect_fault(&self) -> Option<ConnectFault> {
        self.0.fault
    }

    /// What led to it, such as the error of the last dial.
    pub(crate) fn cause(&self) -> Option<&(dyn Error + 'static)> {
        self.0.status.source()
    }

    /// The whole message.
    #[must_use]
    pub fn message(&self) -> &str {
        self.0.status.message()
    }

    /// Marks the error: the log already says that this call waits for the channel.
    pub(crate) fn after_told_wait(mut self) -> Self {
        self.0.has_told_wait = true;
        self
    }

    /// Whether the log already says that this call waits for the channel.
    pub(crate) fn has_told_wait(&self) -> bool {
        self.0.has_told_wait
    }

    /// The same, of a call whose response had begun.
    pub(crate) fn after_headers(mut self) -> Self {
        self.0.verdict.progress = Progress::Reached;
        self
    }
}

/// That of the connection, or of the dial that the call waited for.
fn fault(verdict: Verdict, cause: &(dyn Error + 'static)) -> Option<ConnectFault> {
    matches!(
        verdict.reason,
        Reason::ConnectFailed
            | Reason::ConnectionLost
            | Reason::Queued
            | Reason::DeadlineExceeded
            | Reason::TransportTimedOut
    )
    .then(|| ConnectFault::of(cause))?
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            verdict, endpoint, ..
        } = &*self.0;
        write!(f, "{} ({})", verdict.code, verdict.reason)?;
        match endpoint {
            Some(endpoint) => write!(f, " at {endpoint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportError({self}: {:?})", self.message())
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0.status)
    }
}
