use std::error::Error;
use std::fmt;

use crate::error::BoxError;

/// Why there is no answer, or why the answer is that the target has no address.
///
/// It displays the question and the answer. Of the two kinds, only an authoritative error ever
/// ends the use of the last addresses; see [`is_authoritative`](Self::is_authoritative).
///
/// ```
/// use grpc_resilience::channel::resolve::ResolveError;
/// use std::io;
///
/// let error = ResolveError::new("orders.prod", "the registry did not answer")
///     .with_source(io::Error::from(io::ErrorKind::ConnectionRefused));
/// assert_eq!(error.to_string(), "orders.prod was not resolved: the registry did not answer");
/// assert!(!error.is_authoritative());
///
/// let error = ResolveError::no_address("orders.prod", "the registry does not know the service");
/// let text = "orders.prod has no address: the registry does not know the service";
/// assert_eq!(error.to_string(), text);
/// assert!(error.is_authoritative());
/// ```
#[derive(Debug)]
pub struct ResolveError {
    asked: String,
    answered: String,
    is_authoritative: bool,
    source: Option<BoxError>,
}

impl ResolveError {
    /// `asked` could not be resolved, so its addresses are not known.
    pub fn new(asked: impl Into<String>, answered: impl Into<String>) -> Self {
        Self {
            asked: asked.into(),
            answered: answered.into(),
            is_authoritative: false,
            source: None,
        }
    }

    /// It is known that `asked` has no address: the name does not exist, or has no address.
    pub fn no_address(asked: impl Into<String>, answered: impl Into<String>) -> Self {
        Self {
            is_authoritative: true,
            ..Self::new(asked, answered)
        }
    }

    /// Sets the cause, whose text is not in this error's.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether it is known that there is no address. The last addresses are then used for 60 s
    /// more; otherwise they are used for as long as the error lasts (CONTRACT N2).
    #[must_use]
    pub fn is_authoritative(&self) -> bool {
        self.is_authoritative
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            asked, answered, ..
        } = self;
        match self.is_authoritative {
            true => write!(f, "{asked} has no address: {answered}"),
            false => write!(f, "{asked} was not resolved: {answered}"),
        }
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
