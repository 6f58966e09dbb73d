use tower_layer::Layer;

use crate::body::ReplayBuffer;
use crate::events::Once;
use crate::kernel::rng::Rng;
use crate::kernel::timer::Home;

use super::settings::Settings;
use super::{BeforeAttempt, Policies, PolicyHandle, Retry, RetryPolicy};

/// gRFC A6 leaves the sizes open: grpc-go's buffer of a call, and room for 32 such calls.
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
    /// A layer with this policy, or with [`Policies`] by method.
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

    /// For whoever puts it directly over a layer that hands back what it did not send.
    pub(crate) fn taking_back(self, takes_back: bool) -> Self {
        Self { takes_back, ..self }
    }

    /// Reads and replaces the policies while calls run.
    #[must_use]
    pub fn policies(&self) -> PolicyHandle {
        self.policies.clone()
    }

    /// Runs this before each attempt.
    #[must_use]
    pub fn before_attempt(mut self, hook: BeforeAttempt) -> Self {
        self.hook = Some(hook);
        self
    }

    /// How much of the request of one call is kept for another attempt, in bytes. Default: 256 KiB.
    /// A larger request is sent all the same, once.
    #[must_use]
    pub fn replay_limit(mut self, bytes: usize) -> Self {
        self.replay_limit = bytes;
        self
    }

    /// How much all calls of a channel, with its clones, keep together, in bytes. Default: 8 MiB.
    /// A call that finds no room is sent all the same, once.
    ///
    /// Calls that wait for their next attempt hold three quarters of it at most, and those that
    /// wait for over a second half of it, so that calls which a server sends away for long leave
    /// room for others. One more gives up with its last failure and
    /// [`GiveUp::ReplayBufferFull`](crate::GiveUp::ReplayBufferFull). The other clients of gRPC
    /// have no such bound.
    #[must_use]
    pub fn replay_buffer(mut self, bytes: usize) -> Self {
        self.replay_buffer = bytes;
        self
    }

    /// Believes a server that says with a failure that the request had no effect: the trailer
    /// `grpc-resilience-unprocessed` with the call's own path, in a
    /// Trailers-Only answer. Default: off, for a channel may lead anywhere (CONTRACT I7).
    ///
    /// [`ServerRateLimitLayer`](crate::ServerRateLimitLayer) says so of what it refuses, and
    /// [`ServerDeadlineLayer`](crate::ServerDeadlineLayer) of what has expired when it comes. If
    /// the policy retries the code, such a call goes again without a declaration, as an attempt
    /// with backoff and budget. What such a failure is otherwise, its code and its hints, stays.
    ///
    /// Turn it on where all servers that answer this channel keep to the trailer's one hop. Those
    /// do whose handlers call others through layers of this crate, or stand under one of its server
    /// layers: both take the trailer out of what they hand on. The risk that is left: a server
    /// without either that calls *the same path* elsewhere, through another library's client, after
    /// it has done something itself, and hands the failure on with its metadata, as tonic's
    /// `Status` does. A layer that only annotates, idempotency or budget without any other, takes
    /// nothing out.
    #[must_use]
    pub fn trust_unprocessed(mut self) -> Self {
        self.trusts_unprocessed = true;
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
