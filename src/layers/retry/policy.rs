use std::sync::Arc;
use std::time::Duration;

use crate::backoff::{Backoff, Exponential, Jitter, Retry};
use crate::call::CallOptions;
use crate::classify::{Hint, Progress, Reason, Verdict};
use crate::error::GiveUp;
use crate::grpc::{Code, CodeSet, Status};

use super::condition::Conditions;
use super::plan::{MAX_GONE_AWAY, MAX_UNSENT, has_attempt_timed_out, is_retryable};
use super::{Outcome, Plan, Policy};

/// Short, since nothing is known to be wrong with the server; eight of them last about a second.
const TRANSPARENT: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// The number of graceful GOAWAYs that are answered at once: the second may come of a connection
/// that the server had told to end before the first was read. From then on the same delays as
/// above, with full jitter, since all calls of a connection are refused together (CONTRACT X2).
const GONE_AWAY_AT_ONCE: u32 = 2;

/// An overloaded server needs longer than one that restarts. Where it says how long, that counts.
const OVERLOAD_FACTOR: u32 = 10;

/// What ends a call without a deadline that a server sends away for hours or for ever.
const LONGEST_HINT: Duration = Duration::from_secs(60);

/// A hint is a floor; chance adds up to a fifth above it.
const HINT_SPREAD: f64 = 0.2;

/// The policy of gRFC A6: so many attempts, these codes, this curve.
///
/// Defaults: 4 attempts; UNAVAILABLE; backoff 100 ms, doubling to 1 s, full jitter (the figures of
/// gRFC A6's example), ten times that after RESOURCE_EXHAUSTED where it is retried.
///
/// An attempt that ended by a timeout of its own while the call has time left, that of the
/// `attempt-timeout` layer or tonic's `Endpoint::timeout`, is retried whatever the codes: nobody
/// answered. It may have run, so the call must be declared safe; and if the caller says
/// [`retry_only_on`](crate::call::CallOptions::retry_only_on) without DEADLINE_EXCEEDED it is final. A
/// DEADLINE_EXCEEDED that the server answers is retried only if it is among the codes.
///
/// Servers on gRPC's C core (Python, C++, Ruby) that stop answer CANCELLED to calls that they have
/// accepted and given to no handler. Over tonic's channel such an answer looks like any other;
/// where you call such servers, [`retry_on`](Self::retry_on)`(Code::Cancelled)` has declared calls
/// go again.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    max_attempts: Option<u32>,
    codes: CodeSet,
    retry_if: Conditions,
    never_if: Conditions,
    backoff: Arc<dyn Backoff>,
    curves: Vec<(Code, Arc<dyn Backoff>)>,
    transparent: Arc<dyn Backoff>,
    gone_away: Arc<dyn Backoff>,
    max_hint: Option<Duration>,
    assume_idempotent: bool,
    off: bool,
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
            retry_if: Conditions::default(),
            never_if: Conditions::default(),
            backoff: Arc::new(backoff.jitter(Jitter::Full)),
            curves: Vec::new(),
            transparent: Arc::new(transparent.jitter(Jitter::Equal)),
            gone_away: Arc::new(transparent.jitter(Jitter::Full)),
            max_hint: None,
            assume_idempotent: false,
            off: false,
        }
    }

    /// Never retries, not even what provably never ran: calls pass through (CONTRACT R12).
    #[must_use]
    pub fn never() -> Self {
        Self {
            off: true,
            ..Self::new()
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

    /// Retries these codes and no others, but for attempts that ended by a timeout of their own.
    /// Default: UNAVAILABLE.
    #[must_use]
    pub fn retry_only_on<C: Into<Code>>(self, codes: impl IntoIterator<Item = C>) -> Self {
        Self {
            codes: codes.into_iter().collect(),
            ..self
        }
    }

    /// Retries a failure of which this says `true`, too, whatever its code: for servers whose code
    /// says less than their message, details or metadata.
    ///
    /// It adds failures as [`retry_on`](Self::retry_on) adds codes, and decides nothing else. So
    /// the call must be declared safe to repeat, unless it certainly did not run; attempts, budget,
    /// deadline, the server's hints and the backoff bind as for any code. A failure that [no
    /// attempt can cure](crate::classify::Reason::is_incurable) and what
    /// [`never_if`](Self::never_if) names are not retried all the same, and neither is a code that
    /// the caller's `retry_only_on` leaves out. Said several times, each adds failures.
    ///
    /// It is asked about every failure of an attempt with its status: the server's own, or the one
    /// that the layers made of a transport's error. [`Status::details`] are the bytes of a
    /// `google.rpc.Status`, in which typed details such as `google.rpc.ErrorInfo` are found.
    ///
    /// etcd says with UNKNOWN that it dropped a proposal. A write that was "dropped" may have been
    /// applied all the same, so declare only those idempotent that are:
    ///
    /// ```
    /// use grpc_resilience::RetryPolicy;
    /// use grpc_resilience::grpc::Code;
    ///
    /// let policy = RetryPolicy::new()
    ///     .retry_if(|status| {
    ///         status.code() == Code::Unknown && status.message().contains("raft proposal dropped")
    ///     })
    ///     .never_if(|status| status.message().contains("etcdserver: corrupt cluster"));
    /// ```
    #[must_use]
    pub fn retry_if(mut self, holds: impl Fn(&Status) -> bool + Send + Sync + 'static) -> Self {
        self.retry_if.add(holds);
        self
    }

    /// Does not retry a failure of which this says `true`, whatever its code and whatever
    /// [`retry_if`](Self::retry_if) says. Transparent retries, of what certainly never ran, are not
    /// asked about. Said several times, each takes failures out.
    ///
    /// It is also asked before an attempt that may have a timeout of its own, about the failure that
    /// this would be: DEADLINE_EXCEEDED with the message "the attempt's timeout passed". If that is
    /// not retried, the timeout does not end the attempt (CONTRACT D12).
    #[must_use]
    pub fn never_if(mut self, holds: impl Fn(&Status) -> bool + Send + Sync + 'static) -> Self {
        self.never_if.add(holds);
        self
    }

    /// How long to wait between attempts, but after codes with a curve of their own. Default:
    /// 100 ms, doubling to 1 s, full jitter.
    ///
    /// After `RESOURCE_EXHAUSTED` without a hint, ten times as long: an overloaded server needs
    /// longer than one that restarts. [`backoff_on`](Self::backoff_on) says otherwise.
    #[must_use]
    pub fn backoff(self, backoff: impl Backoff + 'static) -> Self {
        Self {
            backoff: Arc::new(backoff),
            ..self
        }
    }

    /// How long to wait after this code. It does not make the code one that is retried, see
    /// [`retry_on`](Self::retry_on). The number of the retry goes on whichever curve gives the
    /// delay.
    #[must_use]
    pub fn backoff_on(mut self, code: impl Into<Code>, backoff: impl Backoff + 'static) -> Self {
        let code = code.into();
        self.curves.retain(|(other, _)| *other != code);
        self.curves.push((code, Arc::new(backoff)));
        self
    }

    /// How long a server's hint is obeyed at most. After a longer one the call fails with
    /// [`GiveUp::HintTooLong`], since coming back early is what the server asked not to do
    /// (CONTRACT P10). Default: as long as the deadline allows, or a minute for a call without one,
    /// which would otherwise wait for days, and keep its request as long. `Duration::MAX` is no
    /// bound.
    #[must_use]
    pub fn max_hint(self, longest: Duration) -> Self {
        Self {
            max_hint: Some(longest),
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

    /// CONTRACT X1, X2.
    fn transparent_retry(&self, outcome: &Outcome<'_>) -> Option<Plan> {
        let verdict = &outcome.verdict;
        let after = match verdict.progress {
            Progress::NotSent
                if verdict.reason == Reason::Queued && outcome.unsent < MAX_UNSENT =>
            {
                let retry = outcome.unsent + 1;
                self.transparent
                    .delay(&Retry::new(retry, Duration::ZERO, outcome.unit))
            }
            Progress::Refused if verdict.reason == Reason::GoAway => self.after_goaway(outcome)?,
            Progress::Refused if !outcome.refused => Duration::ZERO,
            _ => return None,
        };
        Some(
            within(after, outcome.remaining).map_or(Plan::Stop(GiveUp::Deadline), |after| {
                Plan::Transparent { after }
            }),
        )
    }

    /// `None` once the call had its share of graceful GOAWAYs.
    fn after_goaway(&self, outcome: &Outcome<'_>) -> Option<Duration> {
        if outcome.gone_away >= MAX_GONE_AWAY {
            return None;
        }
        Some(match outcome.gone_away.checked_sub(GONE_AWAY_AT_ONCE) {
            None => Duration::ZERO,
            Some(before) => {
                let wait = before.saturating_add(1);
                self.gone_away
                    .delay(&Retry::new(wait, Duration::ZERO, outcome.unit))
            }
        })
    }

    fn forbids(&self, outcome: &Outcome<'_>) -> Option<GiveUp> {
        let verdict = &outcome.verdict;
        let max_attempts = outcome.options.chosen_max_attempts().or(self.max_attempts);
        if verdict.hint == Some(Hint::Stop) {
            Some(GiveUp::PushbackStop)
        } else if verdict.reason == Reason::Dropped {
            Some(GiveUp::Cancelled)
        } else if verdict.reason == Reason::InvalidCall {
            Some(GiveUp::InvalidCall)
        } else if verdict.reason == Reason::ChannelClosed {
            Some(GiveUp::NotReady)
        } else if self.excludes(outcome.status)
            || !self.retries(verdict, outcome.status, outcome.options) && !renews(outcome)
        {
            Some(outcome.why_final())
        } else if !outcome.may_repeat(self.assume_idempotent) {
            Some(GiveUp::NotIdempotent)
        } else if max_attempts.is_some_and(|max| outcome.attempts >= max) {
            Some(GiveUp::AttemptsExhausted)
        } else {
            None
        }
    }

    fn retries(&self, verdict: &Verdict, status: Option<&Status>, options: &CallOptions) -> bool {
        is_retryable(verdict, options.codes(self.codes))
            || has_attempt_timed_out(verdict, options)
            // The caller may have named all codes.
            || is_retryable(verdict, options.codes(CodeSet::EMPTY.with(verdict.code)))
                && self.retry_if.any(status)
    }

    fn excludes(&self, status: Option<&Status>) -> bool {
        self.never_if.any(status)
    }

    /// CONTRACT P2, P8, P10, R14.
    fn next_wait(&self, outcome: &Outcome<'_>) -> Plan {
        let remaining = outcome.remaining;
        let (after, hinted) = match outcome.verdict.hint {
            Some(Hint::Exactly(delay) | Hint::AtLeast(delay))
                if self.is_too_long(delay, outcome) =>
            {
                return Plan::Stop(GiveUp::HintTooLong);
            }
            Some(Hint::Exactly(delay)) => (within(delay, remaining), true),
            Some(Hint::AtLeast(floor)) => {
                let spread = floor.as_secs_f64() * HINT_SPREAD * outcome.unit;
                let spread = Duration::try_from_secs_f64(spread).unwrap_or(Duration::MAX);
                let wish = floor.saturating_add(spread).max(self.delay(outcome));
                // Where the hint fits and what we add does not, the hint is enough.
                let after = within(wish, remaining).or_else(|| within(floor, remaining));
                (after, true)
            }
            Some(Hint::Stop) | None => (within(self.delay(outcome), remaining), false),
        };
        match after {
            Some(after) => Plan::Retry { after, hinted },
            None if hinted => Plan::Stop(GiveUp::HintPastDeadline),
            None => Plan::Stop(GiveUp::Deadline),
        }
    }

    fn is_too_long(&self, hint: Duration, outcome: &Outcome<'_>) -> bool {
        let longest = outcome.options.chosen_max_hint().or(self.max_hint);
        let longest = longest.or(outcome.remaining.is_none().then_some(LONGEST_HINT));
        longest.is_some_and(|longest| hint > longest)
    }

    fn delay(&self, outcome: &Outcome<'_>) -> Duration {
        if renews(outcome) {
            // What was wrong is mended by the hook, not by time.
            return Duration::ZERO;
        }
        let Verdict { code, hint, .. } = outcome.verdict;
        let own = self.curves.iter().find(|(other, _)| *other == code);
        let own = own.map(|(_, curve)| curve);
        let own = outcome.options.chosen_backoff().or(own);
        let retry = outcome.retries.saturating_add(1);
        let curve = own.unwrap_or(&self.backoff);
        let delay = curve.delay(&Retry::new(retry, outcome.previous_backoff, outcome.unit));
        if own.is_none() && code == Code::ResourceExhausted && hint.is_none() {
            return delay.saturating_mul(OVERLOAD_FACTOR);
        }
        delay
    }
}

impl Policy for RetryPolicy {
    fn decide(&self, outcome: &Outcome<'_>) -> Plan {
        if outcome.is_deadline {
            return Plan::Stop(GiveUp::Deadline);
        }
        if self.off {
            return Plan::Stop(GiveUp::SwitchedOff);
        }
        if let Some(plan) = self.transparent_retry(outcome) {
            return plan;
        }
        match self.forbids(outcome) {
            Some(reason) => Plan::Stop(reason),
            None => self.next_wait(outcome),
        }
    }

    fn is_charged(&self, verdict: &Verdict, options: &CallOptions) -> bool {
        verdict.hint == Some(Hint::Stop) || self.retries(verdict, None, options)
    }

    fn is_status_charged(&self, verdict: &Verdict, status: &Status, options: &CallOptions) -> bool {
        let status = Some(status);
        verdict.hint == Some(Hint::Stop)
            || !self.excludes(status) && self.retries(verdict, status, options)
    }

    fn assumes_idempotent(&self) -> bool {
        self.assume_idempotent
    }

    fn may_follow(&self, outcome: &Outcome<'_>) -> bool {
        !self.off && self.forbids(outcome).is_none()
    }

    fn is_off(&self) -> bool {
        self.off
    }
}

/// UNAUTHENTICATED is retried once after the hook renewed the credentials, unless the caller named
/// all codes.
fn renews(outcome: &Outcome<'_>) -> bool {
    let code = outcome.verdict.code;
    let codes = outcome.options.codes(CodeSet::EMPTY.with(code));
    outcome.renewable && code == Code::Unauthenticated && codes.contains(code)
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
