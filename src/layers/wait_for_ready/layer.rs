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
/// The clones of a service share their knowledge of the channel. Two services made by one layer do
/// not, unless the layer has a [`readiness`](Self::readiness) handle.
#[derive(Clone, Debug, Default)]
pub struct WaitForReadyLayer {
    policy: WaitForReadyPolicy,
    rng: Rng,
    readiness: Option<Readiness>,
}

/// Returned for an invalid setting of [`WaitForReadyLayer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWait {
    /// `endpoints` is 0: such a channel can never be ready.
    #[error("endpoints is 0: set at least 1")]
    NoEndpoints,
    /// `release_rate` is 0: no waiting call would ever be sent.
    #[error("release_rate is 0: set at least 1 call per second, or use release_at_once")]
    NoRelease,
    /// `max_backoff` is zero: the channel would be dialled without a pause.
    #[error("max_backoff is zero: set a longer duration")]
    NoBackoff,
}

impl WaitForReadyLayer {
    /// A layer with which calls wait. gRPC's default, fail fast, is the behaviour without this
    /// layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets only calls wait that ask for it; the others fail at once, as in gRPC. Default: off.
    #[must_use]
    pub fn fail_fast(mut self) -> Self {
        self.policy.wait_mode = WaitMode::FailFast;
        self
    }

    /// Sets the wait mode of the methods that match the pattern, instead of the layer's. An exact
    /// path wins over a glob, and the first glob over later ones. A call's own option wins over
    /// both (CONTRACT W4).
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method path or its glob is malformed.
    pub fn method(mut self, pattern: &str, wait_mode: WaitMode) -> Result<Self, InvalidPattern> {
        self.policy.methods.replace(pattern, wait_mode)?;
        Ok(self)
    }

    /// The patterns of [`method`](Self::method).
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.policy.methods.iter().map(|(pattern, _)| pattern)
    }

    /// Sets the wait between two dials while the channel is down.
    ///
    /// Default: [`ConnectionBackoff`](crate::backoff::ConnectionBackoff), 100 ms, x1.6, +-20 %, at
    /// most 800 ms during the first 10 s of an outage, then up to 10 s. gRPC's own curve is
    /// [`Exponential::grpc`](crate::backoff::Exponential::grpc).
    #[must_use]
    pub fn backoff(mut self, backoff: impl Backoff + 'static) -> Self {
        self.policy.backoff = Arc::new(backoff);
        self
    }

    /// Limits the wait between two dials, for any backoff with its jitter. Default: the backoff's
    /// own limit.
    ///
    /// A server that starts is detected by the next dial. A client that may start before its server
    /// and must not lose time sets a limit of about 10 ms, and dials that often. If you know when
    /// the server is up, call [`Readiness::reset_backoff`] instead. Two dials are always at least a
    /// millisecond apart.
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

    /// Limits the waiting calls. A further call fails at once with `RESOURCE_EXHAUSTED`
    /// (CONTRACT W7). Default: 10,000. With 0 no call waits.
    #[must_use]
    pub fn max_waiting(mut self, calls: usize) -> Self {
        self.policy.bounds.calls = calls;
        self
    }

    /// Limits the bytes of the requests of waiting calls: their headers, and their bodies as far as
    /// complete. A further call fails at once with `RESOURCE_EXHAUSTED` (CONTRACT W7). Default:
    /// 64 MiB.
    #[must_use]
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.policy.bounds.bytes = bytes;
        self
    }

    /// Sets how many waiting calls are sent each second once the channel is ready, evenly spaced
    /// and in order of arrival (CONTRACT W8). Default: 10,000, so that a full queue takes a second.
    ///
    /// Calls that arrive once the channel is ready are sent at once, in addition to this rate.
    ///
    /// # Errors
    ///
    /// [`InvalidWait::NoRelease`] for 0.
    pub fn release_rate(mut self, per_second: u32) -> Result<Self, InvalidWait> {
        let rate = NonZeroU32::new(per_second).ok_or(InvalidWait::NoRelease)?;
        self.policy.release = Some(rate);
        Ok(self)
    }

    /// Sends all waiting calls as soon as the channel is ready. Default: at the release rate.
    #[must_use]
    pub fn release_at_once(mut self) -> Self {
        self.policy.release = None;
        self
    }

    /// Sets the number of endpoints of a balanced channel. Default: 1, until calls show that there
    /// are several (CONTRACT W10).
    ///
    /// With several, a waiting call picks again at once after a failed connect, and the channel
    /// counts as down only after three times as many failed connects in a row as there are
    /// endpoints. This setting disables detection: with 1, the channel always has one endpoint.
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

    /// Keeps the knowledge of the channel in this handle, for you to read. All services that this
    /// layer makes afterwards share it, so put the layer over clones of one channel only.
    #[must_use]
    pub fn readiness(mut self, readiness: &Readiness) -> Self {
        self.readiness = Some(readiness.clone());
        self
    }

    /// Draws the jitter from a deterministic generator, for tests. Default: a random seed.
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
