use std::sync::Arc;

use tower_layer::Layer;

use crate::rng::Rng;

use super::{Retry, RetryPolicy};

/// gRFC A6's buffer of one call.
const DEFAULT_REPLAY_LIMIT: usize = 256 * 1024;

/// Repeats failed calls; see the [module](super).
#[derive(Clone, Debug)]
pub struct RetryLayer {
    policy: Arc<RetryPolicy>,
    replay_limit: usize,
    rng: Rng,
}

impl RetryLayer {
    /// A layer with this policy.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        Self {
            policy: Arc::new(policy),
            replay_limit: DEFAULT_REPLAY_LIMIT,
            rng: Rng::default(),
        }
    }

    /// The largest request, in bytes, that is kept for another attempt. Default: 256 KiB. A larger
    /// one is sent all the same, once.
    #[must_use]
    pub fn replay_limit(mut self, bytes: usize) -> Self {
        self.replay_limit = bytes;
        self
    }

    /// Draws the jitter from a generator that repeats, for tests.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = Rng::seeded(seed);
        self
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new(RetryPolicy::new())
    }
}

impl<S: Clone> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        let policy = Arc::clone(&self.policy);
        Retry::new(inner, policy, self.replay_limit, self.rng.clone())
    }
}
