use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::call::{CallOptions, Safety};
use crate::classify::{Hint, Progress, Reason, Verdict};
use crate::error::GiveUp;
use crate::grpc::{Code, CodeSet, Status};

/// Whether, when and why not to try again: a pure decision.
///
/// [`RetryPolicy`](super::RetryPolicy) is the one of gRFC A6. A policy of your own decides what it
/// wants to decide otherwise and leaves the rest to one of those; see the repository's example
/// `policy`. Forward the other methods too if the policy that you wrap may answer them otherwise.
///
/// It is asked after each failed attempt and gets no clock and no dice: what is left of the time
/// and a random number are in the [`Outcome`]. Whatever it says, these stay with the layer: what
/// may have run is not repeated unless the call was declared safe or the policy
/// [assumes so](Self::assumes_idempotent); a pushback that says no, a failure that
/// [no attempt can cure](crate::classify::Reason::is_incurable), the deadline, the caller's
/// `max_attempts` and the end of the call that it is made for end the call; a transparent retry is
/// for what certainly never ran, eight times at most for what was never sent, eight times for a
/// graceful GOAWAY, once for any other refusal; every other one takes a token and needs the
/// budget's permit.
pub trait Policy: fmt::Debug + Send + Sync {
    /// What is to be done after a failure.
    fn decide(&self, outcome: &Outcome<'_>) -> Plan;

    /// Whether a failure takes a token from an A6 budget that is not retried (CONTRACT T2, P6): by
    /// default UNAVAILABLE, what the call's options add, an attempt that its own timeout ended, and a
    /// pushback that says not to retry. One that is retried always does.
    fn is_charged(&self, verdict: &Verdict, options: &CallOptions) -> bool {
        verdict.hint == Some(Hint::Stop)
            || has_attempt_timed_out(verdict, options)
            || is_retryable(
                verdict,
                options.codes(CodeSet::EMPTY.with(Code::Unavailable)),
            )
    }

    /// The same for a policy that looks at what the status says, too: this is what the layer asks.
    /// By default it asks [`is_charged`](Self::is_charged).
    fn is_status_charged(&self, verdict: &Verdict, status: &Status, options: &CallOptions) -> bool {
        let _ = status;
        self.is_charged(verdict, options)
    }

    /// Whether calls of which nobody said anything count as declared idempotent. Default: no.
    fn assumes_idempotent(&self) -> bool {
        false
    }

    /// Whether another attempt can follow this one, which has just begun, if its own timeout ends
    /// it: the outcome is that of such an attempt. If none can, the timeout does not end it, and it
    /// has what is left of the call (CONTRACT D12). Its status is DEADLINE_EXCEEDED, "the attempt's
    /// timeout passed", without the figures that it would have in the end.
    ///
    /// Default: yes. It is asked before each attempt that no other rule makes the last, so a policy
    /// that counts attempts says here which is the last; one that wraps another forwards it.
    fn may_follow(&self, outcome: &Outcome<'_>) -> bool {
        let _ = outcome;
        true
    }

    /// Whether it never retries: then calls pass through the layer untouched. Default: no.
    fn is_off(&self) -> bool {
        false
    }
}

/// So that a policy read from a running layer can be part of another.
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

/// So often a request that never left the client is sent again: without a bound a peer that is no
/// HTTP/2 server would make the client spin (CONTRACT X1).
pub(super) const MAX_UNSENT: u32 = 8;

/// So often a request goes again because its server went away gracefully. A server that ages its
/// connections does nothing wrong, and one that closes them faster than a request can arrive must
/// not make the client spin (CONTRACT X2).
pub(super) const MAX_GONE_AWAY: u32 = 8;

/// CONTRACT R15, R16: what is too large is so next time, too, and what is no code names nothing
/// that could be retried.
pub(super) fn is_retryable(verdict: &Verdict, codes: CodeSet) -> bool {
    codes.contains(verdict.code) && !verdict.reason.is_incurable()
}

/// Whether an attempt ended by a timeout of its own, below the deadline. It is retried whatever codes a
/// policy names, as the core implementation does it, unless the caller named all codes.
pub(super) fn has_attempt_timed_out(verdict: &Verdict, options: &CallOptions) -> bool {
    let code = verdict.code;
    let codes = options.codes(CodeSet::EMPTY.with(code));
    verdict.reason.is_time_out() && codes.contains(code)
}

/// What a policy decides on: an attempt that failed, and the call so far.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Outcome<'a> {
    /// What the failure means.
    pub verdict: Verdict,
    /// What the failure says: code, message, details and metadata, the server's own if it answered;
    /// `None` in a test that has none.
    pub status: Option<&'a Status>,
    /// How many attempts were made, this one counted; transparent retries are not.
    pub attempts: u32,
    /// How many retries were made since the start or since the server's last hint.
    pub retries: u32,
    /// The last backoff, zero at the start and after a hint.
    pub previous_backoff: Duration,
    /// How often a request that was never sent was sent again.
    pub unsent: u32,
    /// Whether a refused request was sent again already; graceful GOAWAYs are counted apart.
    pub refused: bool,
    /// How often the request was sent again because the server had gone away gracefully.
    pub gone_away: u32,
    /// What was said of the call's safety; `None` if nobody said anything.
    pub safety: Option<Safety>,
    /// Whether the [hook](super::BeforeAttempt) renews the credentials, and did not yet do so for
    /// this call.
    pub renewable: bool,
    /// What is left until the deadline; `None` without one.
    pub remaining: Option<Duration>,
    /// Whether the failure is the call's deadline by another name, such as what a server or a proxy
    /// says a little before it (CONTRACT D11). With more time left it is the attempt's: a deadline
    /// layer below bounds each attempt by itself.
    pub is_deadline: bool,
    /// A random number in `[0, 1)`.
    pub unit: f64,
    /// The caller's wishes.
    pub options: &'a CallOptions,
}

impl<'a> Outcome<'a> {
    /// The first failure of a call of which nothing else is known; for tests of policies.
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

    /// The same with what the failure says.
    #[must_use]
    pub fn with_status(self, status: &'a Status) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    /// Whether another attempt can do no harm: this one certainly did not run, or the call is safe
    /// to repeat (CONTRACT I1, I2), where `assumed` speaks for calls of which nobody did.
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

    /// Why a failure is final that the policy does not retry.
    pub(super) fn why_final(&self) -> GiveUp {
        if self.has_timed_out() {
            GiveUp::Deadline
        } else {
            GiveUp::CodeNotRetryable
        }
    }

    /// Whether the attempt ended by a deadline, of the call or of a deadline layer below.
    pub(super) fn has_timed_out(&self) -> bool {
        self.is_deadline || self.verdict.reason == Reason::DeadlineExceeded
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Plan {
    /// The failure is final.
    Stop(GiveUp),
    /// The next attempt goes after this wait, if the budget allows it.
    #[non_exhaustive]
    Retry {
        /// How long to wait.
        after: Duration,
        /// Whether the server said so: then the backoff starts anew.
        hinted: bool,
    },
    /// The same attempt goes again after this wait; it counts for nothing.
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

    /// The plan, as far as no rule forbids it that holds for every policy.
    pub(super) fn within_bounds(self, outcome: &Outcome<'_>, assumed: bool) -> Self {
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
