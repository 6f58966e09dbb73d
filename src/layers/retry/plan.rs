use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::call::{CallOptions, Safety};
use crate::classify::{Hint, Progress, Reason, Verdict};
use crate::error::GiveUp;
use crate::grpc::{Code, CodeSet, Status};

/// Decides whether and when a call is retried: a pure function of an [`Outcome`].
///
/// [`RetryPolicy`](super::RetryPolicy) implements gRFC A6. A policy of your own makes its own
/// decisions and delegates the others to a `RetryPolicy`; see the repository's example `policy`.
/// Forward the other methods too if the wrapped policy may override them.
///
/// The layer asks the policy after each failed attempt. The policy reads no clock and no random
/// numbers: the remaining time and a random number are in the [`Outcome`]. The layer enforces these
/// rules over every policy:
///
/// - A call that may have run is not repeated unless it was declared safe or the policy
///   [assumes so](Self::assumes_idempotent).
/// - The call ends after a pushback that forbids retries, after a failure that
///   [no attempt can cure](crate::classify::Reason::is_incurable), at the deadline, after the
///   caller's `max_attempts`, and when its parent call ends.
/// - A transparent retry is for requests that certainly never ran: at most eight for requests that
///   were never sent, eight after graceful GOAWAYs, and one after any other refusal.
/// - Every other retry takes a token and needs the budget's permit.
pub trait Policy: fmt::Debug + Send + Sync {
    /// Decides what follows a failure.
    fn decide(&self, outcome: &Outcome<'_>) -> Plan;

    /// Whether a failure that is not retried takes a token from an A6 budget (CONTRACT T2, P6).
    /// Default: UNAVAILABLE, the codes that the call's options add, an attempt that ended by its
    /// own timeout, and a pushback that forbids retries. A failure that is retried always takes
    /// one.
    fn is_charged(&self, verdict: &Verdict, options: &CallOptions) -> bool {
        verdict.hint == Some(Hint::Stop)
            || has_attempt_timed_out(verdict, options)
            || is_retryable(
                verdict,
                options.codes(CodeSet::EMPTY.with(Code::Unavailable)),
            )
    }

    /// Like [`is_charged`](Self::is_charged), for a policy that also reads the status. The layer
    /// calls this method. Default: calls [`is_charged`](Self::is_charged).
    fn is_status_charged(&self, verdict: &Verdict, status: &Status, options: &CallOptions) -> bool {
        let _ = status;
        self.is_charged(verdict, options)
    }

    /// Whether calls without a declaration count as idempotent. Default: no.
    fn assumes_idempotent(&self) -> bool {
        false
    }

    /// Whether another attempt can follow the current one, which has just begun, if its own timeout
    /// ends it. `outcome` describes that timeout. If no attempt can follow, the timeout does not
    /// end the attempt, which may use the remaining time of the call (CONTRACT D12). The status is
    /// DEADLINE_EXCEEDED, "the attempt's timeout passed", without the figures of the final message.
    ///
    /// Default: yes. The layer asks before each attempt that no other rule makes the last. A policy
    /// that counts attempts answers here which one is the last; a policy that wraps another
    /// forwards the call.
    fn may_follow(&self, outcome: &Outcome<'_>) -> bool {
        let _ = outcome;
        true
    }

    /// Whether the policy never retries. Calls then pass through the layer untouched. Default: no.
    fn is_off(&self) -> bool {
        false
    }
}

/// A policy read from a running layer can be part of another policy.
impl<P: Policy + ?Sized> Policy for Arc<P> {
    fn decide(&self, outcome: &Outcome<'_>) -> Plan {
        (**self).decide(outcome)
    }

    fn is_charged(&self, verdict: &Verdict, options: &CallOptions) -> bool {
        (**self).is_charged(verdict, options)
    }

    fn is_status_charged(&self, verdict: &Verdict, status: &Status, options: &CallOptions) -> bool {
        (**self).is_status_charged(verdict, status, options)
    }

    fn assumes_idempotent(&self) -> bool {
        (**self).assumes_idempotent()
    }

    fn may_follow(&self, outcome: &Outcome<'_>) -> bool {
        (**self).may_follow(outcome)
    }

    fn is_off(&self) -> bool {
        (**self).is_off()
    }
}

/// Limit of transparent retries of a request that never left the client. Without it, a peer that
/// does not speak HTTP/2 would make the client spin (CONTRACT X1).
pub(super) const MAX_UNSENT: u32 = 8;

/// Limit of transparent retries after graceful GOAWAYs. A server may close aged connections, but
/// one that closes them faster than a request can arrive must not make the client spin
/// (CONTRACT X2).
pub(super) const MAX_GONE_AWAY: u32 = 8;

/// CONTRACT R15, R16: a message that is too large stays too large, and an unknown code is not a
/// retryable code.
pub(super) fn is_retryable(verdict: &Verdict, codes: CodeSet) -> bool {
    codes.contains(verdict.code) && !verdict.reason.is_incurable()
}

/// Whether an attempt ended by a timeout of its own, before the call's deadline. It is retried
/// independently of the policy's codes, as in the core implementation, unless the caller listed
/// all codes.
pub(super) fn has_attempt_timed_out(verdict: &Verdict, options: &CallOptions) -> bool {
    let code = verdict.code;
    let codes = options.codes(CodeSet::EMPTY.with(code));
    verdict.reason.is_time_out() && codes.contains(code)
}

/// The input of a policy: a failed attempt, and the call so far.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Outcome<'a> {
    /// Code, progress, reason and hint of the failure.
    pub verdict: Verdict,
    /// The status of the failure: code, message, details and metadata. It is the server's own if
    /// the server answered; `None` in a test without one.
    pub status: Option<&'a Status>,
    /// The number of attempts, including this one; transparent retries do not count.
    pub attempts: u32,
    /// The number of retries since the start or since the server's last hint.
    pub retries: u32,
    /// The last backoff; zero at the start and after a hint.
    pub previous_backoff: Duration,
    /// How often a request that never left the client was sent again.
    pub unsent: u32,
    /// Whether a refused request was sent again already; graceful GOAWAYs count separately.
    pub refused: bool,
    /// How often the request was sent again after a graceful GOAWAY.
    pub gone_away: u32,
    /// The declared safety of the call; `None` if not declared.
    pub safety: Option<Safety>,
    /// Whether the [hook](super::BeforeAttempt) renews credentials and has not yet done so for this
    /// call.
    pub renewable: bool,
    /// The time until the deadline; `None` without a deadline.
    pub remaining: Option<Duration>,
    /// Whether the failure is the call's deadline under another code, such as the status that a
    /// server or a proxy sends a little before it (CONTRACT D11). With more time left it is the
    /// attempt's own deadline: a deadline layer below bounds each attempt separately.
    pub is_deadline: bool,
    /// A random number in `[0, 1)`.
    pub unit: f64,
    /// The caller's options.
    pub options: &'a CallOptions,
}

impl<'a> Outcome<'a> {
    /// The first failure of a call without further information; for tests of policies.
    #[must_use]
    pub fn first(verdict: Verdict, options: &'a CallOptions) -> Self {
        Self {
            verdict,
            status: None,
            attempts: 1,
            retries: 0,
            previous_backoff: Duration::ZERO,
            unsent: 0,
            refused: false,
            gone_away: 0,
            safety: None,
            renewable: false,
            remaining: None,
            is_deadline: false,
            unit: 0.5,
            options,
        }
    }

    /// Adds the status of the failure.
    #[must_use]
    pub fn with_status(self, status: &'a Status) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    /// Whether another attempt is safe: this one certainly did not run, or the call is safe to
    /// repeat (CONTRACT I1, I2). `assumed` applies to calls without a declaration.
    #[must_use]
    pub fn may_repeat(&self, assumed: bool) -> bool {
        self.verdict.progress.is_unprocessed() || self.safety.map_or(assumed, Safety::may_repeat)
    }

    /// CONTRACT X1, X2.
    fn may_be_transparent(&self) -> bool {
        match self.verdict.progress {
            Progress::NotSent => self.unsent < MAX_UNSENT,
            Progress::Refused if self.verdict.reason == Reason::GoAway => {
                self.gone_away < MAX_GONE_AWAY
            }
            Progress::Refused => !self.refused,
            Progress::Unprocessed | Progress::Reached | Progress::Answered => false,
        }
    }

    /// The reason for giving up on a failure that the policy does not retry.
    pub(super) fn why_final(&self) -> GiveUp {
        if self.has_timed_out() {
            GiveUp::Deadline
        } else {
            GiveUp::CodeNotRetryable
        }
    }

    /// Whether the attempt ended by a deadline: the call's, or that of a deadline layer below.
    pub(super) fn has_timed_out(&self) -> bool {
        self.is_deadline || self.verdict.reason == Reason::DeadlineExceeded
    }
}

/// The decision of a [`Policy`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Plan {
    /// The failure is final.
    Stop(GiveUp),
    /// The next attempt starts after this wait, if the budget permits it.
    #[non_exhaustive]
    Retry {
        /// How long to wait.
        after: Duration,
        /// Whether the server chose the wait. The backoff then starts over.
        hinted: bool,
    },
    /// The attempt is sent again after this wait, without a new attempt number and without the
    /// budget.
    #[non_exhaustive]
    Transparent {
        /// How long to wait.
        after: Duration,
    },
}

impl Plan {
    /// [`Retry`](Self::Retry) after a wait that the policy chose; zero is at once.
    #[must_use]
    pub const fn retry(after: Duration) -> Self {
        let hinted = false;
        Self::Retry { after, hinted }
    }

    /// [`Retry`](Self::Retry) after a wait that the server asked for: then the backoff starts anew.
    #[must_use]
    pub const fn retry_as_hinted(after: Duration) -> Self {
        let hinted = true;
        Self::Retry { after, hinted }
    }

    /// [`Transparent`](Self::Transparent) after this wait; zero is at once.
    #[must_use]
    pub const fn transparent(after: Duration) -> Self {
        Self::Transparent { after }
    }

    /// The plan within the rules that hold for every policy.
    pub(crate) fn within_bounds(self, outcome: &Outcome<'_>, assumed: bool) -> Self {
        let (Self::Retry { after, .. } | Self::Transparent { after }) = self else {
            return self;
        };
        let verdict = &outcome.verdict;
        let attempts = outcome.options.chosen_max_attempts();
        if verdict.reason == Reason::Dropped {
            Self::Stop(GiveUp::Cancelled)
        } else if outcome.is_deadline {
            Self::Stop(GiveUp::Deadline)
        } else if verdict.hint == Some(Hint::Stop) {
            Self::Stop(GiveUp::PushbackStop)
        } else if verdict.reason.is_incurable() {
            Self::Stop(GiveUp::CodeNotRetryable)
        } else if !outcome.may_repeat(assumed) {
            Self::Stop(GiveUp::NotIdempotent)
        } else if outcome.remaining.is_some_and(|left| after >= left) {
            Self::Stop(GiveUp::Deadline)
        } else if matches!(self, Self::Transparent { .. }) && outcome.may_be_transparent() {
            self
        } else if attempts.is_some_and(|max| outcome.attempts >= max) {
            Self::Stop(GiveUp::AttemptsExhausted)
        } else if matches!(self, Self::Transparent { .. }) {
            Self::Retry {
                after,
                hinted: false,
            }
        } else {
            self
        }
    }
}
