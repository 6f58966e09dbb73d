use tower_layer::Layer;

use crate::body::ReplayBuffer;
use crate::events::Once;
use crate::kernel::rng::Rng;
use crate::kernel::timer::Home;

use super::settings::Settings;
use super::{BeforeAttempt, Policies, PolicyHandle, Retry, RetryPolicy};

/// gRFC A6 leaves the sizes open: grpc-go's buffer for a call, and room for 32 such calls.
const DEFAULT_REPLAY_LIMIT: usize = 256 * 1024;
const DEFAULT_REPLAY_BUFFER: usize = 8 * 1024 * 1024;

/// Repeats failed calls; see the [module](super).
#[derive(Clone, Debug)]
pub struct RetryLayer {
    policies: PolicyHandle,
    hook: Option<BeforeAttempt>,
    replay_limit: usize,
    replay_buffer: usize,
    rng: Rng,
    trusts_unprocessed: bool,
    takes_back: bool,
}

impl RetryLayer {
    /// A layer with this policy for all methods, or with [`Policies`] by method.
    #[must_use]
    pub fn new(policies: impl Into<Policies>) -> Self {
        Self {
            policies: PolicyHandle::new(policies.into()),
            hook: None,
            replay_limit: DEFAULT_REPLAY_LIMIT,
            replay_buffer: DEFAULT_REPLAY_BUFFER,
            rng: Rng::default(),
            trusts_unprocessed: false,
            takes_back: false,
        }
    }

    /// Must be set only directly above a layer that hands back requests that it did not send.
    pub(crate) fn taking_back(self, takes_back: bool) -> Self {
        Self { takes_back, ..self }
    }

    /// A handle that reads and replaces the policies while calls run.
    #[must_use]
    pub fn policies(&self) -> PolicyHandle {
        self.policies.clone()
    }

    /// Runs this hook before each attempt. Default: none.
    #[must_use]
    pub fn before_attempt(mut self, hook: BeforeAttempt) -> Self {
        self.hook = Some(hook);
        self
    }

    /// Limits the bytes of one call's request that are kept for another attempt. Default: 256 KiB.
    /// A larger request is sent once and not repeated.
    #[must_use]
    pub fn replay_limit(mut self, bytes: usize) -> Self {
        self.replay_limit = bytes;
        self
    }

    /// Limits the bytes that all calls of a channel and its clones keep together. Default: 8 MiB.
    /// A call that finds no room is sent once and not repeated.
    ///
    /// Calls that wait for their next attempt hold at most three quarters of it, and those that
    /// wait for more than a second at most half of it, so that calls with a long backoff leave
    /// room for others. A call beyond that gives up with its last failure and
    /// [`GiveUp::ReplayBufferFull`](crate::GiveUp::ReplayBufferFull). Other gRPC clients have no
    /// such limit.
    #[must_use]
    pub fn replay_buffer(mut self, bytes: usize) -> Self {
        self.replay_buffer = bytes;
        self
    }

    /// Believes a server that says with a failure that the request had no effect: the trailer
    /// `grpc-resilience-unprocessed` with the call's own path, in a
    /// Trailers-Only answer. Default: on over this crate's own channel, which knows its servers,
    /// and off over all others, which may lead anywhere (CONTRACT I7).
    ///
    /// [`ServerRateLimitLayer`](crate::ServerRateLimitLayer) sends the trailer with its refusals,
    /// and [`ServerDeadlineLayer`](crate::ServerDeadlineLayer) with calls that arrive after their
    /// deadline. If the policy retries the code, the call is sent again without a declaration, as
    /// an attempt with backoff and budget. The code and the hints of the failure are unchanged.
    ///
    /// Turn it on if every server behind this channel keeps the trailer from travelling further
    /// than one hop. A server does if its handlers call others through layers of this crate, or if
    /// it runs under one of its server layers: both remove the trailer from the responses that they
    /// pass on. The remaining risk is a server with neither that has an effect, then calls *the
    /// same path* on another server through another library's client, and returns that failure with
    /// its metadata, as tonic's `Status` does. A stack of annotating layers only (idempotency,
    /// budget) does not remove the trailer.
    #[must_use]
    pub fn trust_unprocessed(mut self) -> Self {
        self.trusts_unprocessed = true;
        self
    }

    /// Draws the jitter from a deterministic generator, for tests. Default: a random seed.
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
        let settings = Settings {
            policies: self.policies.clone(),
            hook: self.hook.clone(),
            replay_limit: self.replay_limit,
            replay_buffer: ReplayBuffer::new(self.replay_buffer),
            rng: self.rng.clone(),
            home: Home::here(),
            trusts_unprocessed: self.trusts_unprocessed,
            takes_back: self.takes_back,
            below_another: Once::default(),
            bounded: Once::default(),
        };
        Retry::new(inner, settings)
    }
}
