use std::time::Duration;

use tower_layer::Layer;

use crate::grpc::Code;
use crate::kernel::rng::Rng;

use super::{AdaptiveThrottle, AdaptiveThrottlePolicy, Throttle};

/// Holds back calls that the server would refuse; see the [module](super).
///
/// The clones of a service that it makes share their counts; two services do not.
#[derive(Clone, Debug, Default)]
pub struct AdaptiveThrottleLayer {
    policy: AdaptiveThrottlePolicy,
    rng: Rng,
}

/// A throttle that can't be: said at construction.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidThrottle {
    /// With less than 1 even a server that accepts everything would be spared calls.
    #[error("the multiplier must be a finite number of at least 1, not {0}")]
    Multiplier(f64),
    /// In no time nothing can be counted.
    #[error("the window must be longer than none")]
    Window,
}

impl AdaptiveThrottleLayer {
    /// The layer with the defaults: K is 2, a window of 120 s, RESOURCE_EXHAUSTED and UNAVAILABLE
    /// are refusals.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// K: calls are held back only while the server accepts less than one in so many. Default: 2.
    ///
    /// An overloaded server gets about K times the calls that it accepts. A lower K spares it more, but
    /// sheds calls that it would accept; a higher one learns sooner that it is well again. Leave it well
    /// above 1, say at 1.1: what is held back counts as a request that was not accepted, so at 1 a few
    /// seconds of overload go on to hold calls back for hours.
    ///
    /// # Errors
    ///
    /// [`InvalidThrottle::Multiplier`] for less than 1, infinity and what is no number.
    pub fn multiplier(mut self, k: f64) -> Result<Self, InvalidThrottle> {
        if !k.is_finite() || k < 1.0 {
            return Err(InvalidThrottle::Multiplier(k));
        }
        self.policy.multiplier = k;
        Ok(self)
    }

    /// How far back calls count. Default: 120 s. A shorter one sheds sooner and recovers sooner.
    ///
    /// It moves in sixtieths, the oldest of which leaves as a whole.
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

    /// An answer with this code is a refusal, too. Default: RESOURCE_EXHAUSTED and UNAVAILABLE.
    ///
    /// With DEADLINE_EXCEEDED, attempts that time out below this layer are refusals as well. OK never is.
    #[must_use]
    pub fn refused_on(mut self, code: impl Into<Code>) -> Self {
        self.policy.refused = self.policy.refused.with(code.into());
        self
    }

    /// Answers with these codes are refusals, and with no others. What the transport refuses still
    /// is.
    #[must_use]
    pub fn refused_only_on<C: Into<Code>>(mut self, codes: impl IntoIterator<Item = C>) -> Self {
        self.policy.refused = codes.into_iter().collect();
        self
    }

    /// A throttle with these settings, to be looked at wherever the service ends up. It is a layer too,
    /// whose services share it.
    ///
    /// ```
    /// use grpc_resilience::Resilience;
    /// use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
    ///
    /// let throttle = AdaptiveThrottleLayer::new().shared();
    /// let stack = Resilience::new().attempt_layer(throttle.clone());
    /// // .. stack.wrap(channel), and calls; then, in a log:
    /// println!("{}", throttle.snapshot()); // requests 0, accepted 0, throttled 0, reject probability 0 %
    /// ```
    #[must_use]
    pub fn shared(&self) -> Throttle {
        Throttle::new(self.policy, self.rng.clone())
    }

    /// Draws from a generator that repeats, for tests.
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
