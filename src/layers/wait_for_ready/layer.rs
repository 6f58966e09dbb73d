use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::backoff::Backoff;
use crate::call::WaitMode;
use crate::events::Once;
use crate::kernel::rng::Rng;
use crate::methods::InvalidPattern;

use super::{Readiness, WaitForReady, WaitForReadyPolicy};
use crate::ready::Gate;
use crate::ready::Settings;

/// Lets calls wait while the channel is down; see the [module](super).
///
/// The clones of a service that it makes share what they know of the channel; two services do not,
/// unless the layer was given a [`readiness`](Self::readiness).
#[derive(Clone, Debug, Default)]
pub struct WaitForReadyLayer {
    policy: WaitForReadyPolicy,
    rng: Rng,
    readiness: Option<Readiness>,
}

/// A setting that can't be: said at construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWait {
    /// Such a channel can never be ready.
    #[error("a channel has at least one endpoint")]
    NoEndpoints,
    /// At this rate no call would ever go.
    #[error("at least one call a second must be released")]
    NoRelease,
    /// Without a wait between two dials the channel is dialled without a break.
    #[error("the longest backoff must be greater than zero")]
    NoBackoff,
}

impl WaitForReadyLayer {
    /// A layer under which calls wait. gRPC's own default is to fail fast,
    /// and so it is without this layer: whoever adds it wants them to wait.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only calls that ask for it wait; the others fail at once, gRPC's default.
    #[must_use]
    pub fn fail_fast(mut self) -> Self {
        self.policy.wait_mode = WaitMode::FailFast;
        self
    }

    /// What calls of the methods that match do, instead of what the layer says of all: an exact path
    /// beats a glob, the first glob the others. A call's own wish beats both (CONTRACT W4).
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
    pub fn method(mut self, pattern: &str, wait_mode: WaitMode) -> Result<Self, InvalidPattern> {
        self.policy.methods.replace(pattern, wait_mode)?;
        Ok(self)
    }

    /// The patterns of [`method`](Self::method).
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.policy.methods.iter().map(|(pattern, _)| pattern)
    }

    /// How long a channel that is down is left alone between two dials. Default:
    /// [`ConnectionBackoff`](crate::backoff::ConnectionBackoff), 100 ms, x1.6, +-20 %, at most 800 ms
    /// during the first 10 s of an outage, then up to 10 s. gRPC's own curve is
    /// [`Exponential::grpc`](crate::backoff::Exponential::grpc).
    #[must_use]
    pub fn backoff(mut self, backoff: impl Backoff + 'static) -> Self {
        self.policy.backoff = Arc::new(backoff);
        self
    }

    /// The longest that the channel is left alone, whatever the curve and its jitter say. Default: no
    /// bound but the curve's.
    ///
    /// A server that comes up is noticed by the next dial: a client that may start before its server
    /// and must not lose time to that takes a bound of some 10 ms, and dials so often. Whoever can tell
    /// when the server is up calls [`Readiness::reset_backoff`] instead. There is a millisecond at
    /// least between two dials, whatever the curve and this say.
    ///
    /// # Errors
    ///
    /// [`InvalidWait::NoBackoff`] for zero.
    pub fn max_backoff(mut self, longest: Duration) -> Result<Self, InvalidWait> {
        if longest.is_zero() {
            return Err(InvalidWait::NoBackoff);
        }
        self.policy.max_backoff = longest;
        Ok(self)
    }

    /// How many calls may wait at once; one more fails at once with `RESOURCE_EXHAUSTED`
    /// (CONTRACT W7). Default: 10,000. With 0 none waits.
    #[must_use]
    pub fn max_waiting(mut self, calls: usize) -> Self {
        self.policy.bounds.calls = calls;
        self
    }

    /// How much the requests of waiting calls may take together: their headers, and their bodies as far
    /// as these are complete; one more fails at once with `RESOURCE_EXHAUSTED` (CONTRACT W7).
    /// Default: 64 MiB.
    #[must_use]
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.policy.bounds.bytes = bytes;
        self
    }

    /// How many of the waiting calls go each second once the channel is ready, evenly and in order of
    /// arrival (CONTRACT W8). Default: 10,000, so that a full queue takes a second.
    ///
    /// Calls that come once it is ready go at once: the server sees these and no more than so many
    /// others.
    ///
    /// # Errors
    ///
    /// [`InvalidWait::NoRelease`] for 0.
    pub fn release_rate(mut self, per_second: u32) -> Result<Self, InvalidWait> {
        let rate = NonZeroU32::new(per_second).ok_or(InvalidWait::NoRelease)?;
        self.policy.release = Some(rate);
        Ok(self)
    }

    /// All waiting calls go as soon as the channel is ready.
    #[must_use]
    pub fn release_at_once(mut self) -> Self {
        self.policy.release = None;
        self
    }

    /// How many endpoints a balanced channel has. Default: 1, until calls show that there are
    /// several (CONTRACT W10).
    ///
    /// With several, one failed connect sends a waiting call to the next pick at once, and only
    /// three times as many in a row count as a channel that is down. What is said here stays: with
    /// 1, calls show nothing else.
    ///
    /// # Errors
    ///
    /// [`InvalidWait::NoEndpoints`] for 0.
    pub fn endpoints(mut self, endpoints: u32) -> Result<Self, InvalidWait> {
        if endpoints == 0 {
            return Err(InvalidWait::NoEndpoints);
        }
        self.policy.endpoints = endpoints;
        self.policy.is_told = true;
        Ok(self)
    }

    /// Keeps what it learns of the channel in this handle, for you to read. The services that this
    /// layer makes from now on share it, so put the layer over clones of one channel only.
    #[must_use]
    pub fn readiness(mut self, readiness: &Readiness) -> Self {
        self.readiness = Some(readiness.clone());
        self
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
        let state = self.readiness.clone().unwrap_or_default().gate_state();
        state.home.note();
        if !self.policy.is_single() {
            state.presume_ready();
        }
        let settings = Settings {
            policy: self.policy.clone(),
            rng: self.rng.clone(),
            below_another: Once::default(),
        };
        WaitForReady::new(inner, Gate { state, settings })
    }
}
