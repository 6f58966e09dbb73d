use std::time::Duration;

use tower_layer::Layer;

use super::{AttemptTimeout, AttemptTimeoutPolicy};

/// Bounds each attempt by itself; see the [module](super).
///
/// The default has no timeout of its own: only calls that bring one are bounded.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttemptTimeoutLayer {
    policy: AttemptTimeoutPolicy,
}

/// A timeout in which no attempt can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the attempt timeout must be greater than zero")]
#[non_exhaustive]
pub struct ZeroTimeout;

impl AttemptTimeoutLayer {
    /// Bounds attempts by this timeout, until their response headers.
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

    /// Bounds attempts until the first frame of the response body: a head without a message is not
    /// enough. Default: until the head, since a stream may have nothing to say for long.
    ///
    /// The retry layer repeats an attempt whose head came if the method is known to answer with one
    /// message; that of a stream is committed by then (CONTRACT R6).
    #[must_use]
    pub fn until_first_message(mut self) -> Self {
        self.policy.until_first_message = true;
        self
    }

    /// Does not bound an attempt by itself if less than two timeouts are left until the call's
    /// deadline: after it no other would have its full time, so it may as well use what is left. A call
    /// without a deadline has no such attempt. Default: all attempts are bounded.
    ///
    /// By the deadline only. Where a retry layer above says that no other attempt can follow, the
    /// timeout ends nothing anyway (CONTRACT D12).
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

    /// The same, whose timeout was compared with the default one of calls.
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
