use std::fmt;
use std::sync::Arc;

use super::AgentError;
use crate::error::{Fault, Faults};

/// Returned if a server could not be registered or deregistered.
///
/// ```
/// use grpc_resilience::consul::{Registration, RegistrationError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Registration::new("", "0.0.0.0:50051".parse()?);
/// let Err(RegistrationError::Invalid(invalid)) = server.register().await else {
///     panic!("no client can connect to it");
/// };
/// assert_eq!(
///     invalid.to_string(),
///     "the registration can't be made: new: a service needs a name; new: 0.0.0.0:50051 is no \
///      address to which a client can connect"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The settings can't be.
    #[error(transparent)]
    Invalid(InvalidRegistration),
    /// The agent could not be reached, or refused.
    #[error("{doing} failed: {error}")]
    Agent {
        /// What was to be done.
        doing: &'static str,
        /// The words.
        error: Arc<str>,
        /// The cause of the failure, if there is one below the words.
        #[source]
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
    /// The tokio runtime that kept the registration is shut down.
    #[error("the runtime that kept the registration is shut down")]
    Stopped,
}

/// All faults of a [`Registration`](super::Registration) at once, each with its setter.
///
/// ```
/// use grpc_resilience::consul::{Check, Registration, RegistrationError};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Registration::new("orders", "10.0.0.7:50051".parse()?)
///     .check(Check::ttl(Duration::ZERO))
///     .agent("http://localhost");
/// let Err(RegistrationError::Invalid(invalid)) = server.register().await else {
///     panic!("neither setting can be");
/// };
/// let setters: Vec<_> = invalid.faults().iter().map(|fault| fault.setter()).collect();
/// assert_eq!(setters, ["agent", "check"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRegistration {
    faults: Faults,
}

impl InvalidRegistration {
    /// All faults, in the order of the settings.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        self.faults.as_slice()
    }

    pub(super) fn new(faults: Faults) -> Self {
        Self { faults }
    }
}

impl fmt::Display for InvalidRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faults.write(f, "the registration can't be made")
    }
}

impl std::error::Error for InvalidRegistration {}

impl RegistrationError {
    pub(super) fn of(doing: &'static str, error: AgentError) -> Self {
        let words = error.to_string().into();
        let source: Option<Arc<dyn std::error::Error + Send + Sync>> = match error {
            AgentError::Unreachable(error) => Some(Arc::new(error)),
            AgentError::Broken(error) => Some(Arc::from(error)),
            AgentError::Late(_) | AgentError::TooLong | AgentError::Status { .. } => None,
        };
        Self::Agent {
            doing,
            error: words,
            source,
        }
    }
}
