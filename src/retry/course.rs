use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request};
use tokio::time::Instant;

use crate::body::Lost;
use crate::call::{AttemptKind, Budget, CallOptions, Context};
use crate::classify::{Progress, Reason};
use crate::dispatch::Head;
use crate::error::{Error, GiveUp};
use crate::grpc::{Code, MethodKind, PREVIOUS_ATTEMPTS, find};
use crate::report::{Phase, Trace};

use super::hook::Preparing;
use super::settings::Settings;
use super::spend::Spend;
use super::{NextAttempt, Outcome, Plan, Policy};

/// The course of one call: its head and its policy, and what happened so far. It outlives the last
/// attempt, for the status at the end of the answer counts, too.
#[derive(Debug)]
pub(super) struct Course {
    head: Head,
    policy: Arc<dyn Policy>,
    settings: Arc<Settings>,
    attempts: u32,
    retries: u32,
    previous_backoff: Duration,
    unsent: u32,
    refused: bool,
    repeats: bool,
    renewed: bool,
    spend: Spend,
    last_failure: Option<Error>,
}

/// What follows a failure.
pub(super) enum Next {
    Stop(Error),
    Wait(Duration),
    /// The same attempt goes on: its request was handed back, to be sent once more.
    GoOn,
}

impl Course {
    #[inline]
    pub(super) fn new(head: Head, policy: Arc<dyn Policy>, settings: Arc<Settings>) -> Self {
        Self {
            head,
            policy,
            settings,
            attempts: 0,
            retries: 0,
            previous_backoff: Duration::ZERO,
            unsent: 0,
            refused: false,
            repeats: false,
            renewed: false,
            spend: Spend::default(),
            last_failure: None,
        }
    }

    /// Begins the next attempt: what must run before its request is made, if anything.
    pub(super) fn begin(&mut self) -> Option<Preparing> {
        // A transparent retry is the same attempt once more (CONTRACT X3, R10).
        if !self.repeats {
            self.attempts = self.attempts.saturating_add(1);
        }
        let hook = self.settings.hook.as_ref()?;
        self.write(|trace| {
            trace.attempt(self.attempts, self.repeats);
            trace.enter(Phase::Preparing);
        });
        Some(hook.prepare(NextAttempt {
            uri: self.head.uri().clone(),
            number: self.attempts,
            headers: self.head.headers(),
            last_failure: self.last_failure.clone(),
        }))
    }

    /// The first attempt starts now, with the caller's own head. If its request `is_kept`, a layer below may
    /// hand it back.
    pub(super) fn begin_first<B>(&mut self, request: &mut Request<B>, is_kept: bool, now: Instant) {
        let context = Context::of(request.extensions_mut());
        context.number(self.attempts);
        if is_kept {
            context.keep();
        }
        self.count_previous(request.headers_mut());
        self.began(now);
    }

    fn began(&mut self, now: Instant) {
        let repeats = std::mem::take(&mut self.repeats);
        let is_told = self.settings.hook.is_some();
        self.write(|trace| {
            if is_told {
                trace.attempt_began(now);
            } else {
                trace.attempt_begins(self.attempts, repeats, now);
            }
        });
    }

    /// The request of the attempt, which starts now; with these headers if a hook made them.
    pub(super) fn request<B>(&mut self, body: B, prepared: Option<HeaderMap>) -> Request<B> {
        self.head.context_mut().number(self.attempts);
        self.began(Instant::now());
        let mut request = self.head.request(body);
        if let Some(headers) = prepared {
            *request.headers_mut() = headers;
        }
        self.count_previous(request.headers_mut());
        request
    }

    /// The attempt has no answer yet; whether it waits for its channel, which may take long.
    pub(super) fn goes_on(&mut self) -> bool {
        let phase = self.trace().map(Trace::phase);
        self.spend.is_with_channel(phase == Some(Phase::Attempt));
        phase == Some(Phase::NotReady)
    }

    /// The attempt has an answer; whether its head may be held until the first frame.
    pub(super) fn answered(&mut self) -> bool {
        self.spend.answered();
        self.answers_once()
    }

    /// The last failure, if the request itself failed since: no attempt follows (CONTRACT R13).
    pub(super) fn request_failed(&mut self) -> Option<Error> {
        let last = self.last_failure.take()?;
        Some(last.given_up(GiveUp::RequestFailed, self.attempts))
    }

    /// Judges a failed attempt, whose request may be lost: asks the policy, charges the budget, asks for
    /// its permit.
    pub(super) fn after(&mut self, error: Error, lost: Option<Lost>) -> Next {
        if error.is_handed_back() {
            return Next::GoOn;
        }
        self.write(|trace| trace.attempt_failed(error.verdict()));
        self.spend.failed(error.verdict().reason);
        // What an attempt that never left took is given back before the next is asked for.
        self.spend = Spend::default();
        let (plan, timed_out) = self.plan(&error, lost);
        match (plan, lost.map(why_lost)) {
            (Plan::Stop(GiveUp::Deadline), _) if timed_out => Next::Stop(self.expired(error)),
            (_, Some(GiveUp::RequestFailed)) => {
                Next::Stop(self.give_up(error, GiveUp::RequestFailed))
            }
            (Plan::Stop(reason), _) | (_, Some(reason)) => Next::Stop(self.give_up(error, reason)),
            (Plan::Transparent { after }, None) => {
                self.repeats = true;
                if error.verdict().progress == Progress::Refused {
                    self.refused = true;
                } else {
                    self.unsent += 1;
                }
                self.wait(error, after)
            }
            (Plan::Retry { after, hinted }, None) => {
                match self.budget(|budget| budget.permit(AttemptKind::Retry)) {
                    Some(None) => return Next::Stop(self.give_up(error, GiveUp::BudgetExhausted)),
                    Some(permit) => self.spend = Spend::new(permit),
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
                self.wait(error, after)
            }
        }
    }

    /// The call is committed: no attempt follows, and what an attempt needs is let go.
    pub(super) fn commit(&mut self) {
        self.head.context_mut().unfollow();
        self.spend = Spend::default();
        self.last_failure = None;
    }

    /// The answer ended with OK.
    pub(super) fn succeeded(&self) {
        self.budget(|budget| budget.succeeded());
    }

    /// The answer failed after it had begun.
    pub(super) fn broke_off(&self, error: Error) -> Error {
        let options = self.options();
        if self.policy.is_charged(&error.verdict(), options) {
            self.budget(|budget| budget.failed());
        }
        error.given_up(GiveUp::Committed, self.attempts)
    }

    /// CONTRACT R10: ours alone, whatever the caller put there.
    fn count_previous(&self, headers: &mut HeaderMap) {
        match self.attempts.saturating_sub(1) {
            0 if find(headers, &PREVIOUS_ATTEMPTS).is_none() => return,
            0 => headers.remove(PREVIOUS_ATTEMPTS),
            previous => headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from(previous)),
        };
    }

    /// Whether the head may be held until the first frame: only one message can come.
    fn answers_once(&self) -> bool {
        self.context()
            .and_then(Context::kind)
            .is_some_and(MethodKind::answers_once)
    }

    /// The policy's plan, and whether the attempt ended by a deadline. Charges the budget.
    fn plan(&self, error: &Error, lost: Option<Lost>) -> (Plan, bool) {
        let context = self.context();
        let deadline = context.and_then(Context::deadline);
        let verdict = error.verdict();
        let outcome = Outcome {
            verdict,
            attempts: self.attempts,
            retries: self.retries,
            previous_backoff: self.previous_backoff,
            unsent: self.unsent,
            refused: self.refused,
            safety: context.and_then(Context::stated_safety),
            renewable: !self.renewed && self.settings.renews_credentials(),
            remaining: deadline.map(|deadline| deadline.remaining(Instant::now())),
            unit: self.settings.rng.unit(),
            options: self.options(),
        };
        let assumed = self.policy.assumes_idempotent();
        let plan = self
            .policy
            .decide(&outcome)
            .within_bounds(&outcome, assumed);
        let charged = match plan {
            Plan::Retry { .. } => true,
            Plan::Transparent { .. } => false,
            Plan::Stop(_) => {
                let mut verdict = verdict;
                if outcome.is_expiry() && verdict.reason == Reason::AttemptTimedOut {
                    // Whoever noticed, it is the deadline, which says less of the server (CONTRACT D11).
                    verdict.reason = Reason::DeadlineExceeded;
                }
                self.policy.is_charged(&verdict, outcome.options)
            }
        };
        // A token that can't be had, what was held back on this side, and a request that failed by
        // itself say nothing of the server.
        let on_this_side = matches!(
            verdict.reason,
            Reason::HookFailed | Reason::QueueFull | Reason::Throttled
        ) || lost == Some(Lost::RequestFailed);
        if charged && !on_this_side {
            self.budget(|budget| budget.failed());
        }
        (plan, outcome.has_timed_out())
    }

    fn wait(&mut self, error: Error, after: Duration) -> Next {
        let error = self.with_what_the_server_said(error);
        let kept = Arc::new(error.clone());
        self.write(|trace| {
            trace.failed(kept);
            trace.waits(Phase::Backoff);
        });
        self.last_failure = Some(error);
        Next::Wait(after)
    }

    /// Nor does a hook's failure hide it: it stays in the chain.
    fn with_what_the_server_said(&mut self, error: Error) -> Error {
        match (error.verdict().reason, self.last_failure.take()) {
            (Reason::HookFailed, Some(real)) => error.caused_by(Some(Arc::new(real))),
            (_, last) => {
                self.last_failure = last;
                error
            }
        }
    }

    /// A readiness error never hides what the server last said (CONTRACT R17).
    fn give_up(&mut self, error: Error, reason: GiveUp) -> Error {
        let error = self.with_what_the_server_said(error);
        let reason = match error.give_up() {
            // A layer below said it more exactly.
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
            // Who noticed was the server or the transport (CONTRACT D11).
            Some(deadline) if error.verdict().reason != Reason::DeadlineExceeded => {
                let last = Arc::new(last.unwrap_or(error));
                Error::expired(deadline, Phase::Attempt, self.progress(), Some(last))
            }
            // A layer below of ours did, and knows in which phase.
            _ => match last {
                Some(last) => error.caused_by(Some(Arc::new(last))),
                None => error,
            },
        };
        expiry.given_up(GiveUp::Deadline, self.attempts)
    }

    fn budget<T>(&self, ask: impl FnOnce(&dyn Budget) -> T) -> Option<T> {
        let budget = self.context()?.budget()?;
        Some(ask(&**budget))
    }

    fn context(&self) -> Option<&Context> {
        self.head.context()
    }

    fn options(&self) -> &CallOptions {
        let context = self.context();
        context.map_or(&CallOptions::UNSET, Context::options)
    }

    fn trace(&self) -> Option<&Trace> {
        self.context().and_then(Context::trace)
    }

    fn write(&self, write: impl FnOnce(&Trace)) {
        if let Some(trace) = self.trace() {
            write(trace);
        }
    }

    /// How far the call got, as far as it is written down.
    fn progress(&self) -> Progress {
        self.trace().map_or(Progress::Reached, Trace::progress)
    }
}

fn why_lost(lost: Lost) -> GiveUp {
    match lost {
        Lost::TooLarge => GiveUp::BodyTooLarge,
        Lost::BufferFull => GiveUp::ReplayBufferFull,
        Lost::RequestFailed => GiveUp::RequestFailed,
    }
}
