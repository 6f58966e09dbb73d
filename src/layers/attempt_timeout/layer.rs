use std::time::Duration;

use tower_layer::Layer;

use super::{AttemptTimeout, AttemptTimeoutPolicy};

/// Bounds each attempt separately; see the [module](super).
///
/// The default has no timeout of its own: it bounds only calls whose options set one.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttemptTimeoutLayer {
    policy: AttemptTimeoutPolicy,
}

/// Returned for an attempt timeout of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the attempt timeout must be greater than zero")]
#[non_exhaustive]
pub struct ZeroTimeout;

impl AttemptTimeoutLayer {
    /// Bounds attempts by this timeout, up to their response headers.
    ///
    /// # Errors
    ///
    /// [`ZeroTimeout`] for zero.
    pub fn new(timeout: Duration) -> Result<Self, ZeroTimeout> {
        if timeout.is_zero() {
            return Err(ZeroTimeout);
        }
        let mut layer = Self::default();
        layer.policy.timeout = Some(timeout);
        Ok(layer)
    }

    /// Bounds attempts up to the first frame of the response body: a head without a message is not
    /// enough. Default: up to the head, because a stream may be silent for long.
    ///
    /// The retry layer repeats an attempt whose head has arrived if the method is known to return
    /// one message. A stream is committed by its head (CONTRACT R6).
    #[must_use]
    pub fn until_first_message(mut self) -> Self {
        self.policy.until_first_message = true;
        self
    }

    /// Does not bound an attempt if less than two timeouts are left until the call's deadline:
    /// another attempt would not have its full timeout, so this one may use the remaining time. A
    /// call without a deadline has no such attempt. Default: all attempts are bounded.
    ///
    /// This setting looks only at the deadline. If a retry layer above declares that no other
    /// attempt can follow, the timeout does not end the attempt anyway (CONTRACT D12).
    #[must_use]
    pub fn unbounded_last_attempt(mut self) -> Self {
        self.policy.unbounded_last_attempt = true;
        self
    }
}

impl AttemptTimeoutLayer {
    pub(crate) fn policy(&self) -> AttemptTimeoutPolicy {
        self.policy
    }

    /// Marks the timeout as compared with the default timeout of calls.
    pub(crate) fn compared(mut self) -> Self {
        self.policy.is_compared = true;
        self
    }
}

impl<S: Clone> Layer<S> for AttemptTimeoutLayer {
    type Service = AttemptTimeout<S>;

    fn layer(&self, inner: S) -> AttemptTimeout<S> {
        AttemptTimeout::new(inner, self.policy)
    }
}
