//! What one run is: the stack, what it knows, the calls, the weather.

use std::time::Duration;

use grpc_resilience::grpc::Code;
use grpc_resilience::retry::{BeforeAttempt, NextAttempt, RetryLayer, RetryPolicy};
use grpc_resilience::{BoxError, IdempotencyKey, IdempotencyLayer};

use transports::Transport;

use super::super::support::every;
use super::call::{CALL, Declared, End};
use super::faults::Weather;
use super::kind;
use super::rng::Dice;
use super::stack::Stack;

/// The header that a hook adds: the number of the attempt.
pub(super) const TOKEN: &str = "x-token";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// None is declared, and each is left to its end.
    Undeclared,
    /// All are declared, and each is left to its end.
    Declared,
    /// One in three is declared, and some are dropped or have a deadline.
    Mixed,
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long a peer that stalls does so.
    pub(super) stall: Duration,
    /// The longest connection backoff.
    pub(super) longest_wait: Duration,
    /// Time stands still while anything can go on, so it can be looked at.
    pub(super) is_exact: bool,
}

impl Pace {
    /// For a paused clock: nothing else happens meanwhile.
    pub(super) const PAUSED: Self = Self {
        stall: Duration::from_secs(10),
        longest_wait: Duration::from_secs(120),
        is_exact: true,
    };

    /// For threads, which only race on a clock that runs.
    pub(super) const REAL: Self = Self {
        stall: Duration::from_millis(15),
        longest_wait: Duration::from_millis(3),
        is_exact: false,
    };
}

#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) stack: Stack,
    pub(super) calls: Calls,
    pub(super) weather: Weather,
    pub(super) pace: Pace,
    /// Whether the kinds of the methods are declared.
    pub(super) knows_kinds: bool,
    /// Whether a hook runs before each attempt.
    pub(super) has_hook: bool,
    /// Whether servers are believed that vouch for a request without effect.
    pub(super) trusts: bool,
}

impl Setup {
    /// What the stack may know and what stands before its attempts is chance.
    pub(super) fn new(seed: u64, stack: Stack, calls: Calls, weather: Weather, pace: Pace) -> Self {
        let mut dice = dice_of(seed, u64::MAX);
        Self {
            seed,
            stack,
            calls,
            weather,
            pace,
            knows_kinds: dice.roll(2) == 0,
            has_hook: dice.roll(3) == 0 && stack.retries(),
            trusts: dice.roll(2) == 0 && stack.retries(),
        }
    }

    /// Whether a declaration by path or key has a layer to act in.
    pub(super) fn declares_methods(&self) -> bool {
        self.stack.declares() || self.knows_kinds
    }

    /// Whether something else than an answer or a failure may end such a call.
    pub(super) fn may_end_early(&self, end: End) -> bool {
        // A hook that fails may do so once too often.
        self.may_be_dropped(end) || self.has_hook
    }

    /// Whether an attempt of such a call may be dropped.
    pub(super) fn may_be_dropped(&self, end: End) -> bool {
        end != End::Answer || self.stack == Stack::AttemptTimeout
    }

    /// Whether a server that vouches for a request without effect is believed: over this crate's
    /// channel it is without a setting (CONTRACT I7).
    pub(super) fn believes(&self) -> bool {
        self.trusts || self.stack.retries() && Transport::current().is_ours()
    }

    pub(super) fn declarations(&self) -> IdempotencyLayer {
        let mut layer = IdempotencyLayer::new();
        for kind in kind::ALL {
            let path = |declared| kind::path(kind, declared);
            let key = IdempotencyKey::random().deduplicated();
            layer = layer.key(&path(Declared::ByKey), key).unwrap();
            layer = layer.idempotent(&path(Declared::ByPath)).unwrap();
            if self.knows_kinds {
                for declared in [Declared::No, Declared::ByPath, Declared::ByKey] {
                    layer = layer.kind(&path(declared), kind).unwrap();
                }
            }
        }
        layer
    }

    /// Retries what may be retried until it succeeds: no other limit is an excuse.
    pub(super) fn policy() -> RetryPolicy {
        // The codes of resets.
        RetryPolicy::until_deadline()
            .retry_only_on([
                Code::Unavailable,
                Code::Internal,
                Code::Cancelled,
                Code::ResourceExhausted,
                Code::PermissionDenied,
            ])
            .backoff(every(Duration::from_millis(1)))
    }

    pub(super) fn trusting(&self, layer: RetryLayer) -> RetryLayer {
        if self.trusts {
            layer.trust_unprocessed()
        } else {
            layer
        }
    }

    pub(super) fn retry(&self) -> RetryLayer {
        let layer = self.trusting(RetryLayer::new(Self::policy()).seed(self.seed));
        if !self.has_hook {
            return layer;
        }
        let seed = self.seed;
        layer.before_attempt(BeforeAttempt::new(move |next| prepared(seed, next)))
    }
}

/// A hook that fails, is slow, or brings its token at once.
async fn prepared(seed: u64, mut next: NextAttempt) -> Result<NextAttempt, BoxError> {
    let call: u64 = next.headers()[CALL].to_str()?.parse()?;
    let number = next.number();
    let mut dice = dice_of(seed, call << 16 | u64::from(number));
    match dice.roll(8) {
        0 => return Err("no token".into()),
        1 => tokio::task::yield_now().await,
        2 => tokio::time::sleep(Duration::from_millis(2)).await,
        _ => {}
    }
    next.headers_mut().insert(TOKEN, number.into());
    Ok(next)
}

/// Dice of their own for one thing of many, whatever else is rolled before.
pub(super) fn dice_of(seed: u64, number: u64) -> Dice {
    let mut dice = Dice(seed);
    let salt = u64::try_from(dice.roll(usize::MAX)).unwrap();
    Dice(salt ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93))
}
