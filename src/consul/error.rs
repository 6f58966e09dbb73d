use std::fmt;
use std::sync::Arc;

use super::AgentError;

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
/// assert_eq!(invalid.setters().collect::<Vec<_>>(), ["agent", "check"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRegistration {
    pub(super) faults: Vec<(&'static str, String)>,
}

impl InvalidRegistration {
    /// The setters whose values can't be.
    pub fn setters(&self) -> impl Iterator<Item = &'static str> {
        self.faults.iter().map(|(setter, _)| *setter)
    }
}

impl fmt::Display for InvalidRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the registration can't be made")?;
        for (number, (setter, text)) in self.faults.iter().enumerate() {
            let comma = if number == 0 { ": " } else { "; " };
            write!(f, "{comma}{setter}: {text}")?;
        }
        Ok(())
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
