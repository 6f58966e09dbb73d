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
    /// A layer without a default: only calls that bring a timeout are bounded.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A call without a deadline fails at once, with `INVALID_ARGUMENT`: neither its caller nor the
    /// call that it is made for nor a default gives it one. Default: it may have none, as in gRPC.
    ///
    /// One that is to live on says so,
    /// [`call_options().no_timeout()`](crate::call::CallOptions::no_timeout).
    #[must_use]
    pub fn forbid_missing_deadline(mut self) -> Self {
        self.policy.forbids_missing = true;
        self
    }

    /// The timeout of calls whose options say none. A caller's `Request::set_timeout` can only shorten it;
    /// [`CallOptions::timeout`](crate::call::CallOptions::timeout) replaces it, and
    /// [`no_timeout`](crate::call::CallOptions::no_timeout) lifts it. Default: none.
    ///
    /// Under a timeout of zero every call without one of its own fails at once: a WARN event says so.
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
    /// The timeout of calls whose options say none.
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
