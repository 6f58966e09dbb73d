use std::time::Duration;

use tower_layer::Layer;

use crate::events;

use super::{Deadline, DeadlinePolicy};

/// Bounds every call by one absolute deadline; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadlineLayer {
    policy: DeadlinePolicy,
}

impl DeadlineLayer {
    /// A layer without a default: it bounds only calls that have a timeout of their own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Fails calls without a deadline at once, with `INVALID_ARGUMENT`: calls that get none from
    /// their caller, from their parent call or from a default. Default: a call may have no
    /// deadline, as in gRPC.
    ///
    /// A call that must have no deadline declares it with
    /// [`call_options().no_timeout()`](crate::call::CallOptions::no_timeout).
    #[must_use]
    pub fn forbid_missing_deadline(mut self) -> Self {
        self.policy.forbids_missing = true;
        self
    }

    /// Sets the timeout of calls whose options set none. `Request::set_timeout` of the caller can
    /// only shorten it; [`CallOptions::timeout`](crate::call::CallOptions::timeout) replaces it,
    /// and [`no_timeout`](crate::call::CallOptions::no_timeout) removes it. Default: none.
    ///
    /// With a timeout of zero, every call without a timeout of its own fails at once; the setter
    /// emits a WARN event.
    #[must_use]
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        if timeout.is_zero() {
            events::default_timeout_of_zero();
        }
        self.policy.set_default(timeout);
        self
    }
}

impl DeadlineLayer {
    /// The timeout of calls whose options set none.
    pub(crate) fn chosen_default(&self) -> Option<Duration> {
        self.policy.default_timeout()
    }
}

impl<S: Clone> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline::new(inner, self.policy)
    }
}
