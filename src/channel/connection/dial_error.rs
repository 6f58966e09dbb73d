use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::handshake::Phase;
use crate::error::BoxError;

/// Why no connection to an endpoint was made, with the phase that failed (CONTRACT C2). It is in
/// the chain of sources of the calls that failed for it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::channel::{Channel, DialError, Phase};
/// use std::error::Error;
/// use std::time::Duration;
///
/// let channel = Channel::builder("unix:/no/such/socket").build()?;
/// let error = channel.connected(Duration::from_secs(1)).await.unwrap_err();
/// let mut link: &(dyn Error + 'static) = &error;
/// while !link.is::<DialError>() {
///     link = link.source().ok_or("no dial failed")?;
/// }
/// let dial = link.downcast_ref::<DialError>().ok_or("no dial failed")?;
/// assert_eq!((dial.endpoint(), dial.phase()), ("unix:/no/such/socket", Phase::Connect));
/// assert!(!dial.is_timeout());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DialError {
    endpoint: Arc<str>,
    phase: Phase,
    timeout: Duration,
    cause: Option<BoxError>,
}

impl DialError {
    pub(super) fn new(
        endpoint: Arc<str>,
        phase: Phase,
        timeout: Duration,
        cause: Option<BoxError>,
    ) -> Self {
        Self {
            endpoint,
            phase,
            timeout,
            cause,
        }
    }

    /// The endpoint that was dialled.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How far the dial had got.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the connect timeout passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.cause.is_none()
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            phase,
            timeout,
            cause,
        } = self;
        match cause {
            Some(_) => write!(f, "no connection to {endpoint}: failed while {phase}"),
            None => write!(
                f,
                "no connection to {endpoint}: the connect timeout of {timeout:?} passed while {phase}"
            ),
        }
    }
}

impl std::error::Error for DialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
