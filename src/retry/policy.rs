use std::sync::Arc;
use std::time::Duration;

use crate::backoff::{Backoff, Exponential, Jitter};
use crate::call::{Context, Safety};
use crate::classify::{Hint, Progress, Reason, Verdict};
use crate::error::GiveUp;
use crate::grpc::{Code, CodeSet};

use super::{Outcome, Plan};

/// So often a request that never left the client is sent again: without a bound a peer that is no
/// HTTP/2 server would make the client spin (CONTRACT X1).
const MAX_UNSENT: u32 = 8;

/// Short, since nothing is known to be wrong with the server; eight of them last about a second.
const TRANSPARENT: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// A hint is a floor; chance adds up to a fifth above it.
const HINT_SPREAD: f64 = 0.2;

/// When to try again, and after how long: a pure decision.
///
/// Defaults: 4 attempts; UNAVAILABLE; backoff 100 ms, doubling to 1 s, full jitter (the figures of
/// gRFC A6's example).
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    max_attempts: Option<u32>,
    codes: CodeSet,
    backoff: Arc<dyn Backoff>,
    transparent: Arc<dyn Backoff>,
    assume_idempotent: bool,
}

/// A policy that can't be: said at construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// A call needs an attempt.
    #[error("a call needs at least one attempt: max_attempts counts the first one")]
    ZeroAttempts,
}

impl RetryPolicy {
    /// The default policy.
    #[must_use]
    pub fn new() -> Self {
        let ms = Duration::from_millis;
        let backoff = Exponential::standard(ms(100), 2.0, ms(1_000));
        let transparent = Exponential::standard(TRANSPARENT.0, 2.0, TRANSPARENT.1);
        Self {
            max_attempts: Some(4),
            codes: CodeSet::EMPTY.with(Code::Unavailable),
            backoff: Arc::new(backoff.jitter(Jitter::Full)),
            transparent: Arc::new(transparent.jitter(Jitter::Equal)),
            assume_idempotent: false,
        }
    }

    /// The default policy without a count: until the deadline allows no further wait.
    #[must_use]
    pub fn until_deadline() -> Self {
        Self {
            max_attempts: None,
            ..Self::new()
        }
    }

    /// How many attempts a call has at most, the first one counted, as in gRFC A6. Taken as given:
    /// A6's ceiling of five binds service configs only.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy::ZeroAttempts`] for 0.
    pub fn max_attempts(self, attempts: u32) -> Result<Self, InvalidPolicy> {
        if attempts == 0 {
            return Err(InvalidPolicy::ZeroAttempts);
        }
        Ok(Self {
            max_attempts: Some(attempts),
            ..self
        })
    }

    /// Retries this code too.
    #[must_use]
    pub fn retry_on(mut self, code: impl Into<Code>) -> Self {
        self.codes = self.codes.with(code.into());
        self
    }

    /// Retries these codes and no others. Default: UNAVAILABLE.
    #[must_use]
    pub fn retry_only_on<C: Into<Code>>(self, codes: impl IntoIterator<Item = C>) -> Self {
        Self {
            codes: codes.into_iter().collect(),
            ..self
        }
    }

    /// How long to wait between attempts. Default: 100 ms, doubling to 1 s, full jitter.
    #[must_use]
    pub fn backoff(self, backoff: impl Backoff + 'static) -> Self {
        Self {
            backoff: Arc::new(backoff),
            ..self
        }
    }

    /// Treats every call as declared idempotent, for a channel to a service that is so throughout.
    /// What is stated of a method or a call to be not idempotent wins.
    #[must_use]
    pub fn assume_idempotent(self) -> Self {
        Self {
            assume_idempotent: true,
            ..self
        }
    }

    /// The policy with the caller's wishes for one call.
    pub(super) fn tuned(self: &Arc<Self>, context: &Context) -> Arc<Self> {
        let options = context.options();
        let attempts = options.chosen_max_attempts();
        let backoff = options.chosen_backoff();
        let codes = self.codes.union(options.added_codes());
        let doubted = context.stated_safety() == Some(Safety::Unknown);
        let assume_idempotent = self.assume_idempotent && !doubted;
        if attempts.is_none()
            && backoff.is_none()
            && codes == self.codes
            && assume_idempotent == self.assume_idempotent
        {
            return Arc::clone(self);
        }
        let mut tuned = Self::clone(self);
        tuned.codes = codes;
        tuned.assume_idempotent = assume_idempotent;
        if let Some(attempts) = attempts {
            tuned.max_attempts = Some(attempts);
        }
        if let Some(backoff) = backoff {
            tuned.backoff = Arc::clone(backoff);
        }
        Arc::new(tuned)
    }

    /// Whether a failure takes a token from an A6 budget (CONTRACT T2, P6).
    #[must_use]
    pub fn is_charged(&self, verdict: &Verdict) -> bool {
        verdict.hint == Some(Hint::Stop) || self.is_retryable(verdict)
    }

    fn is_retryable(&self, verdict: &Verdict) -> bool {
        self.codes.contains(verdict.code) && verdict.reason != Reason::MessageTooLarge
    }

    /// What is to be done after a failure.
    #[must_use]
    pub fn decide(&self, outcome: &Outcome) -> Plan {
        if outcome.is_expiry() {
            return Plan::Stop(GiveUp::Deadline);
        }
        if let Some(plan) = self.transparent_retry(outcome) {
            return plan;
        }
        match self.forbids(outcome) {
            Some(reason) => Plan::Stop(reason),
            None => self.next_wait(outcome),
        }
    }

    /// CONTRACT X1, X2.
    fn transparent_retry(&self, outcome: &Outcome) -> Option<Plan> {
        let verdict = &outcome.verdict;
        let after = match verdict.progress {
            Progress::NotSent
                if verdict.reason == Reason::Queued && outcome.unsent < MAX_UNSENT =>
            {
                let retry = outcome.unsent + 1;
                self.transparent.delay(retry, Duration::ZERO, outcome.unit)
            }
            Progress::Refused if !outcome.refused => Duration::ZERO,
            _ => return None,
        };
        Some(
            within(after, outcome.remaining).map_or(Plan::Stop(GiveUp::Deadline), |after| {
                Plan::Transparent { after }
            }),
        )
    }

    fn forbids(&self, outcome: &Outcome) -> Option<GiveUp> {
        let verdict = &outcome.verdict;
        let safe = verdict.progress.is_unprocessed()
            || self.assume_idempotent
            || outcome.safety.may_repeat();
        if verdict.hint == Some(Hint::Stop) {
            Some(GiveUp::PushbackStop)
        } else if verdict.reason == Reason::InvalidCall {
            Some(GiveUp::InvalidCall)
        } else if verdict.reason == Reason::ChannelClosed {
            Some(GiveUp::NotReady)
        } else if !self.is_retryable(verdict) {
            Some(outcome.why_final())
        } else if !safe {
            Some(GiveUp::NotIdempotent)
        } else if self.max_attempts.is_some_and(|max| outcome.attempts >= max) {
            Some(GiveUp::AttemptsExhausted)
        } else {
            None
        }
    }

    /// CONTRACT P2, P8, P10, R14.
    fn next_wait(&self, outcome: &Outcome) -> Plan {
        let backoff = || {
            let retry = outcome.retries.saturating_add(1);
            self.backoff
                .delay(retry, outcome.previous_backoff, outcome.unit)
        };
        let remaining = outcome.remaining;
        let (after, hinted) = match outcome.verdict.hint {
            Some(Hint::Exactly(delay)) => (within(delay, remaining), true),
            Some(Hint::AtLeast(floor)) => {
                let spread = floor.as_secs_f64() * HINT_SPREAD * outcome.unit;
                let spread = Duration::try_from_secs_f64(spread).unwrap_or(Duration::MAX);
                let wish = floor.saturating_add(spread).max(backoff());
                // Where the hint fits and what we add does not, the hint is enough.
                let after = within(wish, remaining).or_else(|| within(floor, remaining));
                (after, true)
            }
            Some(Hint::Stop) | None => (within(backoff(), remaining), false),
        };
        match after {
            Some(after) => Plan::Retry { after, hinted },
            None if hinted => Plan::Stop(GiveUp::HintPastDeadline),
            None => Plan::Stop(GiveUp::Deadline),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// `None` if the wait would reach the deadline.
fn within(after: Duration, remaining: Option<Duration>) -> Option<Duration> {
    remaining
        .is_none_or(|remaining| after < remaining)
        .then_some(after)
}
