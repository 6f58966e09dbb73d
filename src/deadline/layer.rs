use std::time::Duration;

use tower_layer::Layer;

use super::{DeadlinePolicy, DeadlineService};

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

    /// The timeout of calls that bring none of their own. Default: none.
    #[must_use]
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.policy.set_default(timeout);
        self
    }
}

impl<S: Clone> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> DeadlineService<S> {
        DeadlineService::new(inner, self.policy)
    }
}
