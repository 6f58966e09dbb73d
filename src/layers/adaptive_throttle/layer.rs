use std::time::Duration;

use tower_layer::Layer;

use crate::grpc::Code;
use crate::kernel::rng::Rng;

use super::{AdaptiveThrottle, AdaptiveThrottlePolicy, Throttle};

/// Throttles calls that the server would refuse; see the [module](super).
///
/// The clones of a service share their counts; two services made by one layer do not.
#[derive(Clone, Debug, Default)]
pub struct AdaptiveThrottleLayer {
    policy: AdaptiveThrottlePolicy,
    rng: Rng,
}

/// Returned for an invalid throttle.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidThrottle {
    /// The multiplier is less than 1 or not finite. Below 1, calls to a server that accepts all
    /// would be throttled too.
    #[error("the multiplier is {0}: set a finite number of at least 1")]
    Multiplier(f64),
    /// The window is zero.
    #[error("the window is zero: set a longer one")]
    Window,
}

impl AdaptiveThrottleLayer {
    /// A layer with the defaults: K = 2, a window of 120 s; RESOURCE_EXHAUSTED and UNAVAILABLE are
    /// refusals.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets K: calls are throttled only while the server accepts less than one in K. Default: 2.
    ///
    /// An overloaded server gets about K times the calls that it accepts. A lower K spares it more,
    /// but throttles calls that it would accept; a higher K detects its recovery sooner. Keep K
    /// clearly above 1, for example at 1.1: a throttled call counts as a request that was not
    /// accepted, so with K = 1 a few seconds of overload would throttle calls for hours.
    ///
    /// # Errors
    ///
    /// [`InvalidThrottle::Multiplier`] for less than 1, infinity and NaN.
    pub fn multiplier(mut self, k: f64) -> Result<Self, InvalidThrottle> {
        if !k.is_finite() || k < 1.0 {
            return Err(InvalidThrottle::Multiplier(k));
        }
        self.policy.multiplier = k;
        Ok(self)
    }

    /// Sets how far back calls count. Default: 120 s. A shorter window throttles and recovers
    /// sooner.
    ///
    /// It moves in sixtieths; the oldest sixtieth expires as a whole.
    ///
    /// # Errors
    ///
    /// [`InvalidThrottle::Window`] for zero.
    pub fn window(mut self, window: Duration) -> Result<Self, InvalidThrottle> {
        if window.is_zero() {
            return Err(InvalidThrottle::Window);
        }
        self.policy.window = window;
        Ok(self)
    }

    /// Adds a code whose responses are refusals. Default: RESOURCE_EXHAUSTED and UNAVAILABLE.
    ///
    /// With DEADLINE_EXCEEDED, attempts that time out below this layer are refusals too. OK is
    /// never a refusal.
    #[must_use]
    pub fn refused_on(mut self, code: impl Into<Code>) -> Self {
        self.policy.refused = self.policy.refused.with(code.into());
        self
    }

    /// Makes responses with only these codes refusals. Refusals of the transport stay refusals.
    #[must_use]
    pub fn refused_only_on<C: Into<Code>>(mut self, codes: impl IntoIterator<Item = C>) -> Self {
        self.policy.refused = codes.into_iter().collect();
        self
    }

    /// A throttle with these settings, to be read while the service runs in a stack. It is a layer
    /// itself; its services share its counts.
    ///
    /// ```
    /// use grpc_resilience::Resilience;
    /// use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
    ///
    /// let throttle = AdaptiveThrottleLayer::new().shared();
    /// let stack = Resilience::new().attempt_layer(throttle.clone());
    /// // .. stack.wrap(channel), and calls; then, in a log:
    /// // requests 0, accepted 0, throttled 0, reject probability 0 %
    /// println!("{}", throttle.snapshot());
    /// ```
    #[must_use]
    pub fn shared(&self) -> Throttle {
        Throttle::new(self.policy, self.rng.clone())
    }

    /// Draws from a deterministic generator, for tests. Default: a random seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = Rng::seeded(seed);
        self
    }
}

impl<S: Clone> Layer<S> for AdaptiveThrottleLayer {
    type Service = AdaptiveThrottle<S>;

    fn layer(&self, inner: S) -> AdaptiveThrottle<S> {
        self.shared().layer(inner)
    }
}

impl<S: Clone> Layer<S> for Throttle {
    type Service = AdaptiveThrottle<S>;

    fn layer(&self, inner: S) -> AdaptiveThrottle<S> {
        AdaptiveThrottle::new(inner, self.clone())
    }
}
