use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::time::Instant;

use crate::body::{Lost, Recording, RequestBody};
use crate::call::{AttemptKind, Budget, CallOptions, Context};
use crate::classify::{Progress, Reason};
use crate::dispatch::Head;
use crate::error::{Error, GiveUp};
use crate::grpc::{Code, MethodKind, PREVIOUS_ATTEMPTS, find};
use crate::report::{Phase, Trace};

use super::answer::{self, Said};
use super::body::{Charge, Watch};
use super::hook::Preparing;
use super::settings::Settings;
use super::spend::Spend;
use super::{NextAttempt, Outcome, Plan, Policy};

/// One call: what is needed for a further attempt, and what happened so far.
///
/// Dropping it commits the call.
pub(super) struct RetryCall<S, B: RequestBody> {
    service: S,
    head: Head,
    recording: Recording<B>,
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
    trace: Trace,
}

/// What follows a failure.
pub(super) enum Next {
    Stop(Error),
    Wait(Duration),
}

impl<S: Clone, B: RequestBody> RetryCall<S, B> {
    pub(super) fn new(
        service: S,
        head: Head,
        recording: Recording<B>,
        policy: Arc<dyn Policy>,
        settings: Arc<Settings>,
        trace: Trace,
    ) -> Self {
        Self {
            service,
            head,
            recording,
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
            trace,
        }
    }

    /// A service for the next attempt; its readiness is unknown.
    pub(super) fn service(&self) -> S {
        self.service.clone()
    }

    /// Begins the next attempt: what must run before its request is made, if anything.
    pub(super) fn begin(&mut self) -> Option<Preparing> {
        // A transparent retry is the same attempt once more (CONTRACT X3, R10).
        let transparent = std::mem::take(&mut self.repeats);
        if !transparent {
            self.attempts = self.attempts.saturating_add(1);
        }
        self.trace.attempt(self.attempts, transparent);
        let hook = self.settings.hook.as_ref()?;
        self.trace.enter(Phase::Preparing);
        Some(hook.prepare(NextAttempt {
            uri: self.head.uri().clone(),
            number: self.attempts,
            headers: self.head.headers(),
            last_failure: self.last_failure.clone(),
        }))
    }

    /// The first attempt starts now, with the caller's own head; its body.
    pub(super) fn begin_first(&mut self, parts: &mut Parts, now: Instant) -> B {
        Context::of(&mut parts.extensions).number(self.attempts);
        self.count_previous(&mut parts.headers);
        self.trace.attempt_began(now);
        self.recording.attempt()
    }

    /// The request of the attempt, which starts now; with these headers if a hook made them.
    pub(super) fn request(&mut self, prepared: Option<HeaderMap>) -> Request<B> {
        self.head.context_mut().number(self.attempts);
        self.trace.attempt_began(Instant::now());
        let mut request = self.head.request(self.recording.attempt());
        if let Some(headers) = prepared {
            *request.headers_mut() = headers;
        }
        self.count_previous(request.headers_mut());
        request
    }

    /// The attempt has no answer yet. One that waits for its channel may do so for long, and with it
    /// what is kept for the next.
    pub(super) fn goes_on(&mut self) {
        let phase = self.trace.phase();
        self.spend.is_with_channel(phase == Phase::Attempt);
        if phase == Phase::NotReady {
            self.recording.detach();
        }
    }

    /// What the head of an answer says of the attempt.
    #[inline]
    pub(super) fn judge<R>(&mut self, response: &mut Response<R>) -> Result<Said, Error> {
        self.spend.answered();
        answer::judge(response, self.answers_once())
    }

    /// CONTRACT R10: ours alone, whatever the caller put there.
    fn count_previous(&self, headers: &mut HeaderMap) {
        match self.attempts.saturating_sub(1) {
            0 if find(headers, &PREVIOUS_ATTEMPTS).is_none() => return,
            0 => headers.remove(PREVIOUS_ATTEMPTS),
            previous => headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from(previous)),
        };
    }

    /// The last failure, if the request itself failed since: no attempt follows (CONTRACT R13).
    pub(super) fn request_failed(&mut self) -> Option<Error> {
        self.recording.look_ahead();
        if self.recording.lost() != Some(Lost::RequestFailed) {
            return None;
        }
        let last = self.last_failure.take()?;
        Some(last.given_up(GiveUp::RequestFailed, self.attempts))
    }

    /// Judges a failed attempt: asks the policy, charges the budget, asks for its permit.
    pub(super) fn after(&mut self, error: Error) -> Next {
        self.recording.end_attempt();
        self.trace.attempt_failed(error.verdict());
        self.spend.failed(error.verdict().reason);
        // What an attempt that never left took is given back before the next is asked for.
        self.spend = Spend::default();
        let lost = self.recording.lost().map(why_lost);
        let (plan, timed_out) = self.plan(&error);
        match (plan, lost) {
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

    /// What the body of a response that goes up has to watch for.
    pub(super) fn watch(&self) -> Watch {
        let context = self.context();
        let budget = context.and_then(Context::budget);
        let charge = budget.map(|budget| Charge {
            budget: Arc::clone(budget),
            policy: Arc::clone(&self.policy),
            options: context.and_then(Context::shared_options).cloned(),
        });
        Watch::new(charge, self.attempts)
    }

    /// Whether the head may be held until the first frame: only one message can come.
    fn answers_once(&self) -> bool {
        self.context()
            .and_then(Context::kind)
            .is_some_and(MethodKind::answers_once)
    }

    /// The policy's plan, and whether the attempt ended by a deadline. Charges the budget.
    fn plan(&self, error: &Error) -> (Plan, bool) {
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
            options: context.map_or(&CallOptions::UNSET, Context::options),
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
        ) || self.recording.lost() == Some(Lost::RequestFailed);
        if charged && !on_this_side {
            self.budget(|budget| budget.failed());
        }
        (plan, outcome.has_timed_out())
    }

    fn wait(&mut self, error: Error, after: Duration) -> Next {
        let error = self.with_what_the_server_said(error);
        let kept = Arc::new(error.clone());
        self.trace.failed(kept);
        self.trace.waits(Phase::Backoff);
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
                Error::expired(deadline, Phase::Attempt, self.trace.progress(), Some(last))
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
}

fn why_lost(lost: Lost) -> GiveUp {
    match lost {
        Lost::TooLarge => GiveUp::BodyTooLarge,
        Lost::BufferFull => GiveUp::ReplayBufferFull,
        Lost::RequestFailed => GiveUp::RequestFailed,
    }
}
