use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::body::{NotReplayable, WaitingShare};
use crate::call::{AttemptKind, Context};
use crate::classify::{Progress, Reason, Verdict};
use crate::error::{Error, GiveUp};
use crate::events;
use crate::grpc::Code;
use crate::methods::method_of;
use crate::report::Phase;

use super::pending_permit::PendingPermit;
use super::progress::{CallProgress, Repetition};
use super::settings::Settings;
use super::{Outcome, Plan};

/// What follows a failure.
pub(super) enum Next {
    Stop(Error),
    /// The share accounts for the data that the call keeps while it waits.
    Wait(Duration, WaitingShare),
    /// The attempt goes on: its request was handed back, to be sent again.
    GoOn,
}

/// How an attempt ended.
#[derive(Clone, Copy)]
struct Ended {
    verdict: Verdict,
    /// Whether the failure is the call's deadline under another code.
    is_deadline: bool,
    now: Instant,
}

/// Judgement of failed attempts.
impl CallProgress {
    /// Judges a failed attempt: asks the policy, charges the budget, then reserves room in the
    /// channel's buffer and takes the budget's permit. `lost`: why the request cannot be replayed.
    pub(super) fn after(
        &mut self,
        error: Error,
        lost: Option<NotReplayable>,
        settings: &Settings,
        room: impl FnOnce(Duration) -> Option<WaitingShare>,
    ) -> Next {
        let comes_back = std::mem::take(&mut self.may_come_back) && error.is_handed_back();
        if comes_back && error.verdict().progress == Progress::NotSent {
            // Until the channel is ready, this failure is the reason why it is not.
            self.write(|trace| trace.not_ready(Arc::new(error.unreported())));
            return Next::GoOn;
        }
        let ended = self.ended(&error);
        self.write(|trace| trace.attempt_failed(ended.verdict, error.endpoint()));
        self.spend.failed(error.verdict().reason);
        // The permit of an attempt that was never sent is returned before the next is taken.
        self.spend = PendingPermit::default();
        let (plan, timed_out) = self.plan(&error, ended, lost, settings);
        match (plan, lost.map(why_lost)) {
            (Plan::Stop(GiveUp::Deadline), _) if timed_out => Next::Stop(self.expired(error)),
            (_, Some(GiveUp::RequestFailed)) => {
                Next::Stop(self.give_up(error, GiveUp::RequestFailed))
            }
            (Plan::Stop(reason), _) | (_, Some(reason)) => Next::Stop(self.give_up(error, reason)),
            (Plan::Transparent { after }, None) => {
                let Some(room) = room(after) else {
                    return Next::Stop(self.give_up(error, GiveUp::ReplayBufferFull));
                };
                self.repetition = Repetition::Next;
                match (error.verdict().progress, error.verdict().reason) {
                    (Progress::Refused, Reason::GoAway) => self.gone_away += 1,
                    (Progress::Refused, _) => self.refused = true,
                    _ => self.unsent += 1,
                }
                self.wait(error, after, room)
            }
            (Plan::Retry { after, hinted }, None) => {
                let Some(room) = room(after) else {
                    return Next::Stop(self.give_up(error, GiveUp::ReplayBufferFull));
                };
                match self.budget(|budget| budget.permit(AttemptKind::Retry)) {
                    Some(None) => return Next::Stop(self.give_up(error, GiveUp::BudgetExhausted)),
                    Some(permit) => self.spend = PendingPermit::new(permit),
                    None => {}
                }
                if hinted {
                    self.retries = 0;
                    self.previous_backoff = Duration::ZERO;
                } else if error.code() == Code::Unauthenticated && !self.renewed {
                    self.renewed = true;
                } else {
                    self.retries = self.retries.saturating_add(1);
                    self.previous_backoff = after;
                }
                self.wait(error, after, room)
            }
        }
    }

    /// The policy's plan, and whether the attempt ended by a deadline. Charges the budget.
    fn plan(
        &self,
        error: &Error,
        ended: Ended,
        lost: Option<NotReplayable>,
        settings: &Settings,
    ) -> (Plan, bool) {
        let Some(policy) = self.policy() else {
            return (Plan::Stop(GiveUp::Committed), false);
        };
        let context = self.context();
        let deadline = context.and_then(Context::deadline);
        let verdict = error.verdict();
        let outcome = Outcome {
            verdict,
            status: Some(error.status()),
            attempts: self.attempts,
            retries: self.retries,
            previous_backoff: self.previous_backoff,
            unsent: self.unsent,
            refused: self.refused,
            gone_away: self.gone_away,
            safety: context.and_then(Context::stated_safety),
            renewable: !self.renewed && settings.renews_credentials(),
            remaining: deadline.map(|deadline| deadline.remaining(ended.now)),
            is_deadline: ended.is_deadline,
            unit: settings.rng.unit(),
            options: self.options(),
        };
        let assumed = policy.assumes_idempotent();
        let plan = policy.decide(&outcome).within_bounds(&outcome, assumed);
        let charged = match plan {
            Plan::Retry { .. } => true,
            Plan::Transparent { .. } => false,
            Plan::Stop(_) => {
                policy.is_status_charged(&ended.verdict, error.status(), outcome.options)
            }
        };
        // A failed hook, a call that was held back locally and a failed request are no evidence
        // about the server.
        let on_this_side = matches!(
            verdict.reason,
            Reason::HookFailed | Reason::QueueFull | Reason::Throttled | Reason::Overloaded
        ) || lost == Some(NotReplayable::RequestFailed);
        if charged && !on_this_side {
            self.budget(|budget| budget.failed());
        }
        (plan, outcome.has_timed_out())
    }

    /// The end of an attempt, now. If the call's own deadline ended it, detected by any party, the
    /// attempt did not time out on its own (CONTRACT D11): that is weaker evidence about the
    /// server, and there may be no attempt timeout at all.
    fn ended(&self, error: &Error) -> Ended {
        let now = Instant::now();
        let deadline = self.context().and_then(Context::deadline);
        let is_deadline =
            deadline.is_some_and(|deadline| error.is_deadline(deadline, self.trace(), now));
        let mut verdict = error.verdict();
        if is_deadline && verdict.reason.is_time_out() {
            verdict.reason = Reason::DeadlineExceeded;
        }
        Ended {
            verdict,
            is_deadline,
            now,
        }
    }

    fn wait(&mut self, error: Error, after: Duration, room: WaitingShare) -> Next {
        let error = self.after_hook(error);
        let is_transparent = self.repetition == Repetition::Next;
        let (method, failed) = (method_of(self.path()), error.event());
        events::retries(method, self.attempts, failed, after, is_transparent);
        let kept = Arc::new(error.clone());
        if error.verdict().reason != Reason::HookFailed {
            self.last_real = Some(Arc::clone(&kept));
        }
        self.write(|trace| {
            trace.failed(kept);
            trace.waits(Phase::Backoff);
        });
        self.last_failure = Some(error);
        Next::Wait(after, room)
    }

    /// Keeps the server's last failure in the chain of a hook's failure. The chain does not grow
    /// with each failure of the hook.
    fn after_hook(&self, error: Error) -> Error {
        match (error.verdict().reason, &self.last_real) {
            (Reason::HookFailed, Some(real)) => error.caused_by(Some(real.clone())),
            // The hook may name the previous failure as its cause, which may name another.
            (Reason::HookFailed, None) => error.without_cause(),
            _ => error,
        }
    }

    /// A readiness error never hides the server's last failure (CONTRACT R17).
    fn give_up(&mut self, error: Error, reason: GiveUp) -> Error {
        let error = match (error.verdict().reason, &self.last_failure) {
            // The previous failure, of the hook or the server, holds the server's last failure.
            (Reason::HookFailed, Some(last)) => error.caused_by(Some(Arc::new(last.clone()))),
            _ => error,
        };
        let reason = match error.give_up() {
            // A layer below gave a more exact reason.
            Some(own) if reason == GiveUp::CodeNotRetryable => own,
            _ => reason,
        };
        let error = match (error.verdict().reason, self.last_failure.take()) {
            (it, Some(real)) if it.is_readiness() => real,
            _ => error,
        };
        error.given_up(reason, self.attempts)
    }

    /// The deadline passed during an attempt: the last real failure is the cause (CONTRACT R17).
    fn expired(&mut self, error: Error) -> Error {
        let deadline = self.context().and_then(Context::deadline);
        let last = self.last_failure.take();
        let expiry = match deadline {
            // The server or the transport detected the deadline (CONTRACT D11).
            Some(deadline) if error.verdict().reason != Reason::DeadlineExceeded => {
                let last = last.map(|last| Arc::new(last) as _);
                let progress = match error.verdict().progress {
                    // The server's declaration applies to this response under any code.
                    Progress::Unprocessed => Progress::Unprocessed,
                    _ => self.progress(),
                };
                error.into_expiry(deadline, Phase::Attempt, progress, last)
            }
            // A layer of this crate below detected it, and knows the phase.
            _ => match last {
                Some(last) => error.caused_by(Some(Arc::new(last))),
                None => error,
            },
        };
        expiry.given_up(GiveUp::Deadline, self.attempts)
    }
}

fn why_lost(lost: NotReplayable) -> GiveUp {
    match lost {
        NotReplayable::TooLarge => GiveUp::BodyTooLarge,
        NotReplayable::BufferFull => GiveUp::ReplayBufferFull,
        NotReplayable::RequestFailed => GiveUp::RequestFailed,
    }
}
