use std::error::Error;
use std::fmt;
use std::sync::Arc;

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
#[derive(Clone, Debug)]
pub struct ResolveError {
    asked: Arc<str>,
    answered: Arc<str>,
    has_no_address: bool,
    effect: Effect,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What becomes of the last addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// They stay for as long as the error lasts.
    Keep,
    /// They stay for 60 s.
    Grace,
    /// They are not used any longer: the 60 s were counted already.
    End,
}

impl ResolveError {
    /// `asked` could not be resolved, so its addresses are not known.
    pub fn new(asked: impl Into<Arc<str>>, answered: impl Into<Arc<str>>) -> Self {
        Self {
            asked: asked.into(),
            answered: answered.into(),
            has_no_address: false,
            effect: Effect::Keep,
            source: None,
        }
    }

    /// It is known that `asked` has no address: the name does not exist, or has no address.
    pub fn no_address(asked: impl Into<Arc<str>>, answered: impl Into<Arc<str>>) -> Self {
        Self {
            has_no_address: true,
            effect: Effect::Grace,
            ..Self::new(asked, answered)
        }
    }

    /// Sets the cause, whose text is not in this error's.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Whether it is known that there is no address. The last addresses are then used for 60 s
    /// more; otherwise they are used for as long as the error lasts (CONTRACT N2).
    #[must_use]
    pub fn is_authoritative(&self) -> bool {
        self.effect != Effect::Keep
    }

    /// This error of one of several resolvers: the addresses of the others stay.
    pub(super) fn of_part(&self) -> Self {
        Self {
            effect: Effect::Keep,
            ..self.clone()
        }
    }

    /// The last addresses are not used any longer.
    pub(super) fn that_ends_set(&self) -> Self {
        Self {
            effect: Effect::End,
            ..self.clone()
        }
    }

    pub(super) fn ends_set(&self) -> bool {
        self.effect == Effect::End
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            asked, answered, ..
        } = self;
        if self.has_no_address {
            write!(f, "{asked} has no address: {answered}")
        } else {
            write!(f, "{asked} was not resolved: {answered}")
        }
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
