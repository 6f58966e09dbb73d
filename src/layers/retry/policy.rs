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

/// Delays of transparent retries: short, because the server is not known to be unhealthy. Eight of
/// them last about a second.
const TRANSPARENT: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// The number of graceful GOAWAYs after which the request is sent again without delay: the second
/// may come from a connection that the server had told to end before the client read the first.
/// Later ones wait as above, with full jitter, because all calls of a connection are refused
/// together (CONTRACT X2).
const GONE_AWAY_AT_ONCE: u32 = 2;

/// An overloaded server needs longer than a restarting one. A hint of the server takes precedence.
const OVERLOAD_FACTOR: u32 = 10;

/// The longest hint for a call without a deadline, which could otherwise wait for hours.
const LONGEST_HINT: Duration = Duration::from_secs(60);

/// A hint is a lower bound; jitter adds up to a fifth.
const HINT_SPREAD: f64 = 0.2;

/// The policy of gRFC A6: a number of attempts, retryable codes, a backoff.
///
/// Defaults: 4 attempts; UNAVAILABLE; backoff 100 ms, doubling to 1 s, full jitter (the figures of
/// gRFC A6's example), ten times that after RESOURCE_EXHAUSTED if that code is retried.
///
/// An attempt that ended by its own timeout while the call has time left is retried with any codes,
/// because the server did not answer. Such a timeout is that of the attempt timeout layer or
/// tonic's `Endpoint::timeout`. The attempt may have run, so the call must be declared safe; and if
/// the caller sets [`retry_only_on`](crate::call::CallOptions::retry_only_on) without
/// DEADLINE_EXCEEDED, the failure is final. A DEADLINE_EXCEEDED from the server is retried only if
/// it is among the codes.
///
/// A server on gRPC's C core (Python, C++, Ruby) that shuts down answers CANCELLED to calls that it
/// has accepted but not given to a handler. Over tonic's channel such a response cannot be
/// distinguished from others. If you call such servers,
/// [`retry_on`](Self::retry_on)`(Code::Cancelled)` retries them for declared calls.
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

/// Returned for an invalid retry policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// `max_attempts` is 0.
    #[error("max_attempts is 0: set at least 1, because it counts the first attempt")]
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

    /// Never retries, not even calls that provably never ran: calls pass through (CONTRACT R12).
    #[must_use]
    pub fn never() -> Self {
        Self {
            off: true,
            ..Self::new()
        }
    }

    /// The default policy without a limit of attempts: retries until the deadline allows no further
    /// wait.
    #[must_use]
    pub fn until_deadline() -> Self {
        Self {
            max_attempts: None,
            ..Self::new()
        }
    }

    /// Limits the attempts of a call, including the first, as in gRFC A6. Default: 4. The value is
    /// not capped: A6's limit of five applies to service configs only.
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

    /// Adds a code that is retried.
    #[must_use]
    pub fn retry_on(mut self, code: impl Into<Code>) -> Self {
        self.codes = self.codes.with(code.into());
        self
    }

    /// Retries only these codes, and attempts that ended by their own timeout.
    /// Default: UNAVAILABLE.
    #[must_use]
    pub fn retry_only_on<C: Into<Code>>(self, codes: impl IntoIterator<Item = C>) -> Self {
        Self {
            codes: codes.into_iter().collect(),
            ..self
        }
    }

    /// Retries a failure for which the closure returns `true`, with any code: for servers that put
    /// the cause into message, details or metadata.
    ///
    /// It adds failures as [`retry_on`](Self::retry_on) adds codes, and decides nothing else. So
    /// the call must be declared safe to repeat, unless it certainly did not run; attempts, budget,
    /// deadline, the server's hints and the backoff apply as for any code. Some failures stay
    /// final: those that [no attempt can cure](crate::classify::Reason::is_incurable), those that
    /// [`never_if`](Self::never_if) selects, and codes that the caller's `retry_only_on` leaves
    /// out. Several closures add up.
    ///
    /// The closure receives the status of every failed attempt: the server's own, or the one that
    /// the layers derive from a transport error. [`Status::details`] are the bytes of a
    /// `google.rpc.Status`, which holds typed details such as `google.rpc.ErrorInfo`.
    ///
    /// etcd answers UNKNOWN when it dropped a proposal. A write that was "dropped" may still have
    /// been applied, so declare only idempotent writes as such:
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

    /// Does not retry a failure for which the closure returns `true`, with any code and regardless
    /// of [`retry_if`](Self::retry_if). It does not apply to transparent retries, which repeat
    /// calls that certainly never ran. Several closures add up.
    ///
    /// The closure is also called before an attempt that may have its own timeout, with the status
    /// of that timeout: DEADLINE_EXCEEDED with the message "the attempt's timeout passed". If it
    /// returns `true`, the timeout does not end the attempt (CONTRACT D12).
    #[must_use]
    pub fn never_if(mut self, holds: impl Fn(&Status) -> bool + Send + Sync + 'static) -> Self {
        self.never_if.add(holds);
        self
    }

    /// Sets the wait between attempts, except after codes with a backoff of their own. Default:
    /// 100 ms, doubling to 1 s, full jitter.
    ///
    /// After `RESOURCE_EXHAUSTED` without a hint the wait is ten times as long, because an
    /// overloaded server needs longer than a restarting one. [`backoff_on`](Self::backoff_on)
    /// replaces that.
    #[must_use]
    pub fn backoff(self, backoff: impl Backoff + 'static) -> Self {
        Self {
            backoff: Arc::new(backoff),
            ..self
        }
    }

    /// Sets the wait after this code. It does not make the code retryable, see
    /// [`retry_on`](Self::retry_on). All backoffs share the count of retries.
    #[must_use]
    pub fn backoff_on(mut self, code: impl Into<Code>, backoff: impl Backoff + 'static) -> Self {
        let code = code.into();
        self.curves.retain(|(other, _)| *other != code);
        self.curves.push((code, Arc::new(backoff)));
        self
    }

    /// Limits the wait that a server's hint may ask for. After a longer hint the call fails with
    /// [`GiveUp::HintTooLong`], because the server asked not to be called earlier (CONTRACT P10).
    /// Default: as long as the deadline allows, or a minute for a call without a deadline, which
    /// could otherwise wait for days and keep its request as long. `Duration::MAX` removes the
    /// limit.
    #[must_use]
    pub fn max_hint(self, longest: Duration) -> Self {
        Self {
            max_hint: Some(longest),
            ..self
        }
    }

    /// Treats every undeclared call as idempotent, for a channel to a service whose methods all
    /// are. A declaration of a method or a call as not idempotent takes precedence. Default: off.
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

    /// `None` once the call has reached [`MAX_GONE_AWAY`].
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
            // The caller may have listed all codes.
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
                // If only the hint fits before the deadline, wait without the jitter.
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
            // The hook has renewed the credentials: waiting would not help.
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

/// UNAUTHENTICATED is retried once after the hook renewed the credentials, unless the caller
/// listed all codes.
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
