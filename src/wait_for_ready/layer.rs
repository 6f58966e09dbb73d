use std::sync::Arc;

use tower_layer::Layer;

use crate::backoff::Backoff;
use crate::call::Patience;
use crate::rng::Rng;

use super::gate::Gate;
use super::{WaitForReady, WaitForReadyPolicy};

/// Lets calls wait while the channel is down; see the [module](super).
///
/// The clones of a service that it makes share what they know of the channel; two services do not.
#[derive(Clone, Debug, Default)]
pub struct WaitForReadyLayer {
    policy: WaitForReadyPolicy,
    rng: Rng,
}

/// A channel without endpoints, which can never be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a channel has at least one endpoint")]
pub struct NoEndpoints;

impl WaitForReadyLayer {
    /// A layer under which calls wait, on gRPC's connection backoff.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only calls that ask for it wait; the others fail at once, gRPC's default.
    #[must_use]
    pub fn fail_fast(mut self) -> Self {
        self.policy.patience = Patience::FailFast;
        self
    }

    /// How long a channel that is down is left alone between two dials. Default: gRPC's connection
    /// backoff, 1 s, x1.6, +-20 %, at most 120 s.
    #[must_use]
    pub fn backoff(mut self, backoff: impl Backoff + 'static) -> Self {
        self.policy.backoff = Arc::new(backoff);
        self
    }

    /// How many endpoints a balanced channel has. Default: 1.
    ///
    /// With several, one failed connect sends a waiting call to the next pick at once, and only
    /// three times as many in a row count as a channel that is down.
    ///
    /// # Errors
    ///
    /// [`NoEndpoints`] for 0.
    pub fn endpoints(mut self, endpoints: u32) -> Result<Self, NoEndpoints> {
        if endpoints == 0 {
            return Err(NoEndpoints);
        }
        self.policy.endpoints = endpoints;
        Ok(self)
    }

    /// Draws the jitter from a generator that repeats, for tests.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = Rng::seeded(seed);
        self
    }
}

impl<S: Clone> Layer<S> for WaitForReadyLayer {
    type Service = WaitForReady<S>;

    fn layer(&self, inner: S) -> WaitForReady<S> {
        let gate = Gate::new(self.policy.clone(), self.rng.clone());
        WaitForReady::new(inner, Arc::new(gate))
    }
}
