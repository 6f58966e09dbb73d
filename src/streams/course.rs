//! What follows each event of a stream. Pure: time and random numbers are arguments.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff as _, Exponential, Jitter, Retry};
use crate::call::{CallOptions, Safety};
use crate::classify::{Hint, Progress, Reason, Verdict};
use crate::error::{Error, GiveUp};
use crate::grpc::Code;
use crate::retry::{Outcome, Plan, Policy};

use super::decision::{Decision, Moment, Step};
use super::{OnEnd, OnLost};

/// How often an opening with one token may be refused before the token counts as lost
/// (CONTRACT S3).
const MAX_REFUSALS: u32 = 3;

/// A stream that was open for so long was not refused, whatever ended it.
const ACCEPTED: Duration = Duration::from_secs(60);

/// The least time between two streams that begin anew, if no opening with a token succeeded
/// between: without it, a server that refuses each token would be asked for ever.
const RESTART: (Duration, f64, Duration) = (Duration::from_secs(60), 3.0, Duration::from_secs(600));

/// Added to it, up to this part.
const RESTART_SPREAD: f64 = 0.2;

/// The settings of a stream that decide what follows.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) policy: Arc<dyn Policy>,
    pub(super) on_end: OnEnd,
    pub(super) on_lost: OnLost,
}

/// Where a stream is, over all its openings.
#[derive(Clone, Debug)]
pub(super) struct Course<Token> {
    rules: Rules,
    /// Where the next opening resumes: the last token that came.
    token: Option<Token>,
    /// The openings since the last new token, with the one that runs.
    attempts: u32,
    retries: u32,
    previous_backoff: Duration,
    /// How often openings with `token` were refused.
    refusals: u32,
    /// The token that the opening which runs asked for.
    asked: Option<Token>,
    /// Since when it is open.
    open_since: Option<Instant>,
    /// The opening that runs brought a new token.
    has_progressed: bool,
    /// Messages were handed on after `token` that should have waited for the next one.
    is_unresumable: bool,
    /// The lost tokens since an opening with a token last brought a newer one.
    losses: u32,
    /// The next opening begins anew after a lost token.
    restarts: bool,
    /// When such an opening last began, whatever it had waited for.
    restarted_at: Option<Instant>,
    /// The token that was lost last.
    lost: Option<Token>,
}

impl<Token: Clone + PartialEq> Course<Token> {
    pub(super) fn new(rules: Rules, token: Option<Token>) -> Self {
        Self {
            rules,
            token,
            attempts: 0,
            retries: 0,
            previous_backoff: Duration::ZERO,
            refusals: 0,
            asked: None,
            open_since: None,
            has_progressed: false,
            is_unresumable: false,
            losses: 0,
            restarts: false,
            restarted_at: None,
            lost: None,
        }
    }

    /// Where the next opening resumes; `None` if it begins with the original request.
    pub(super) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Whether the policy allows more than the first opening after a token.
    pub(super) fn can_reopen(&self, moment: Moment) -> bool {
        let verdict = Verdict::new(Progress::Answered, Code::Unavailable, Reason::Answered);
        let mut first = self.outcome(verdict, moment);
        first.attempts = 1;
        self.plan_as_retryable(first) != Plan::Stop(GiveUp::AttemptsExhausted)
    }

    /// The openings since the last new token.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) fn on_lost(&self) -> OnLost {
        self.rules.on_lost
    }

    /// The token that was lost; `None` if none had come.
    pub(super) fn take_lost(&mut self) -> Option<Token> {
        self.lost.take()
    }

    /// The next opening resumes at a place that the caller chose.
    pub(super) fn resume_from(&mut self, token: Token) {
        self.token = Some(token);
        self.refusals = 0;
        self.is_unresumable = false;
    }

    /// An opening begins.
    pub(super) fn opens(&mut self, now: Instant) {
        if std::mem::take(&mut self.restarts) {
            self.restarted_at = Some(now);
        }
        self.attempts = self.attempts.saturating_add(1);
        self.asked = self.token.clone();
        self.open_since = None;
        self.has_progressed = false;
    }

    /// The opening succeeded.
    pub(super) fn opened(&mut self, now: Instant) {
        self.open_since = Some(now);
    }

    /// A message came. Only a new token is progress: a message without one may be a repetition, and
    /// so may one with the token that is known (CONTRACT S4).
    pub(super) fn on_item(&mut self, token: Option<&Token>) {
        let Some(token) = token else { return };
        self.is_unresumable = false;
        if self.token.as_ref() == Some(token) {
            return;
        }
        self.token = Some(token.clone());
        self.has_progressed = true;
        self.attempts = 1;
        self.restart_backoff();
        self.refusals = 0;
        if self.asked.is_some() {
            self.losses = 0;
            self.restarted_at = None;
        }
    }

    /// Messages were handed on that should have waited.
    pub(super) fn overflows(&mut self) {
        self.is_unresumable = true;
    }

    /// The server told in a message that it no longer has the token.
    pub(super) fn on_lost_message(&mut self, moment: Moment) -> Step {
        self.lose(None, moment)
    }

    /// The server ended the stream with OK.
    pub(super) fn on_end(&mut self, moment: Moment) -> Step {
        if self.rules.on_end == OnEnd::Done {
            return Step::Done;
        }
        if self.is_unresumable {
            return self.lose(None, moment);
        }
        if self.has_progressed {
            let after = Duration::ZERO;
            let costs = false;
            return Step::Reopen { after, costs };
        }
        let verdict = Verdict::new(Progress::Answered, Code::Unavailable, Reason::Answered);
        let outcome = Outcome {
            status: None,
            ..self.outcome(verdict, moment)
        };
        self.follow(self.plan_as_retryable(outcome))
    }

    /// An opening failed, or the stream broke off.
    pub(super) fn on_failure(&mut self, error: &Error, moment: Moment) -> Decision {
        let verdict = error.verdict();
        let outcome = Outcome {
            status: Some(error.status()),
            ..self.outcome(verdict, moment)
        };
        let policy = &self.rules.policy;
        let plan = policy.decide(&outcome).within_bounds(&outcome, true);
        let is_retried = !matches!(plan, Plan::Stop(_));
        let is_charged =
            is_retried || policy.is_status_charged(&verdict, error.status(), CallOptions::unset());
        let is_final = !is_retried && plan != Plan::Stop(GiveUp::CodeNotRetryable)
            || verdict.reason.is_incurable()
            || verdict.hint == Some(Hint::Stop);
        let has_lived = |since| moment.now.saturating_duration_since(since) >= ACCEPTED;
        if self.open_since.is_some_and(has_lived) {
            self.refusals = 0;
        }
        let is_refusal = !is_final
            && !self.has_progressed
            && self.asked == self.token
            && (verdict.code == Code::Internal || is_answer(verdict) && !is_retried);
        let is_gone = !is_final && self.is_gone(verdict);
        self.refusals += u32::from(is_refusal);
        let is_refused = is_refusal && self.refusals >= MAX_REFUSALS;
        let step = if is_refused && self.token.is_none() {
            // An original request has no token to lose.
            Step::Fail(GiveUp::AttemptsExhausted)
        } else if is_gone || is_refused {
            match self.plan_as_retryable(outcome) {
                Plan::Stop(GiveUp::HintTooLong) => Step::Fail(GiveUp::HintTooLong),
                _ => self.lose(verdict.hint, moment),
            }
        } else if is_final || is_retried {
            self.follow(plan)
        } else if breaks_off(verdict) || is_answer(verdict) && self.can_be_told_again() {
            self.follow(self.plan_as_retryable(outcome))
        } else {
            self.follow(plan)
        };
        let step = match step {
            Step::Reopen { .. } if self.is_unresumable => self.lose(verdict.hint, moment),
            step => step,
        };
        Decision {
            step,
            is_charged,
            is_refusal: is_refusal || is_gone,
        }
    }

    /// Whether the server said that it no longer has what an opening asked for (CONTRACT S3). After
    /// a newer token, or a place that the caller chose meanwhile, it speaks of something else.
    fn is_gone(&self, verdict: Verdict) -> bool {
        matches!(verdict.code, Code::OutOfRange | Code::FailedPrecondition)
            && is_answer(verdict)
            && self.asked.is_some()
            && self.asked == self.token
            && !self.has_progressed
    }

    /// Whether an answer that the policy does not retry may be about the token: the server may
    /// accept the opening that follows.
    fn can_be_told_again(&self) -> bool {
        self.token.is_some()
    }

    fn outcome(&self, verdict: Verdict, moment: Moment) -> Outcome<'static> {
        Outcome {
            attempts: self.attempts,
            retries: self.retries,
            previous_backoff: self.previous_backoff,
            // Each opening is a call of its own, so none is repeated without its cost.
            unsent: u32::MAX,
            refused: true,
            gone_away: u32::MAX,
            // A stream that resumes reads; the caller states that by using it.
            safety: Some(Safety::Idempotent),
            remaining: moment.remaining,
            unit: moment.unit,
            ..Outcome::first(verdict, CallOptions::unset())
        }
    }

    /// The policy's plan, as if the caller had added this code to those that it retries.
    fn plan_as_retryable(&self, outcome: Outcome<'_>) -> Plan {
        let mut options = CallOptions::default();
        options.retry_on(outcome.verdict.code);
        let outcome = Outcome {
            options: &options,
            ..outcome
        };
        let policy = &self.rules.policy;
        policy.decide(&outcome).within_bounds(&outcome, true)
    }

    fn follow(&mut self, plan: Plan) -> Step {
        let (after, hinted) = match plan {
            Plan::Stop(give_up) => return Step::Fail(give_up),
            Plan::Retry { after, hinted } => (after, hinted),
            Plan::Transparent { after } => (after, false),
        };
        if hinted {
            self.restart_backoff();
        } else {
            self.retries = self.retries.saturating_add(1);
            self.previous_backoff = after;
        }
        let costs = true;
        Step::Reopen { after, costs }
    }

    fn restart_backoff(&mut self) {
        self.retries = 0;
        self.previous_backoff = Duration::ZERO;
    }

    /// The token is lost. What an original request asks for can't be had by asking again.
    fn lose(&mut self, hint: Option<Hint>, moment: Moment) -> Step {
        if self.token.is_none() && !self.is_unresumable {
            return Step::Fail(GiveUp::TokenLost);
        }
        let is_told = match self.rules.on_lost {
            OnLost::Fail => return Step::Fail(GiveUp::TokenLost),
            OnLost::Restart => true,
            OnLost::Skip => false,
        };
        let hinted = match hint {
            Some(Hint::Exactly(wait) | Hint::AtLeast(wait)) => wait,
            Some(Hint::Stop) | None => Duration::ZERO,
        };
        let after = self.until_restart(moment).max(hinted);
        if moment.remaining.is_some_and(|left| after >= left) {
            return Step::Fail(GiveUp::Deadline);
        }
        self.restarts = true;
        self.losses = self.losses.saturating_add(1);
        self.lost = self.token.take();
        self.attempts = 0;
        self.refusals = 0;
        self.is_unresumable = false;
        self.restart_backoff();
        Step::Restart { after, is_told }
    }

    fn until_restart(&self, moment: Moment) -> Duration {
        let Some(last) = self.restarted_at else {
            return Duration::ZERO;
        };
        let (initial, factor, most) = RESTART;
        let curve = Exponential::standard(initial, factor, most).jitter(Jitter::None);
        let space = curve.delay(&Retry::new(self.losses, Duration::ZERO, moment.unit));
        let space = space.mul_f64(1.0 + RESTART_SPREAD * moment.unit);
        (last + space).saturating_duration_since(moment.now)
    }
}

/// Whether the server, or a proxy before it, answered with a status.
fn is_answer(verdict: Verdict) -> bool {
    matches!(
        verdict.reason,
        Reason::Answered | Reason::ForeignStatus | Reason::HttpStatus
    )
}

/// Whether the stream ended without a word of the server about it, so that the next one may do
/// better whatever the code.
fn breaks_off(verdict: Verdict) -> bool {
    matches!(
        verdict.reason,
        Reason::NoStatus
            | Reason::StreamReset
            | Reason::StreamRefused
            | Reason::GoAway
            | Reason::GoAwayError
            | Reason::ConnectionLost
            | Reason::KeepaliveTimeout
            | Reason::Queued
    )
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
