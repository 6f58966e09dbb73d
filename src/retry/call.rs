use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Request};
use tokio::time::Instant;

use crate::body::{Captured, RequestBody};
use crate::call::{Budget, Context, Permit, Phase};
use crate::classify::{Progress, Reason};
use crate::error::{Error, GiveUp};
use crate::grpc::{MethodKind, PREVIOUS_ATTEMPTS};
use crate::rng::Rng;

use super::body::Watch;
use super::{Outcome, Plan, RetryPolicy};

/// One call: what is needed for a further attempt, and what happened so far.
pub(super) struct RetryCall<S> {
    service: S,
    parts: Parts,
    captured: Captured,
    policy: Arc<RetryPolicy>,
    rng: Rng,
    attempts: u32,
    retries: u32,
    previous_backoff: Duration,
    unsent: u32,
    refused: bool,
    repeats: bool,
    permit: Option<Permit>,
    last_failure: Option<Error>,
}

/// What follows a failure.
pub(super) enum Next {
    Stop(Error),
    Wait(Duration),
}

impl<S: Clone> RetryCall<S> {
    pub(super) fn new(
        service: S,
        parts: Parts,
        captured: Captured,
        policy: Arc<RetryPolicy>,
        rng: Rng,
    ) -> Self {
        Self {
            service,
            parts,
            captured,
            policy,
            rng,
            attempts: 0,
            retries: 0,
            previous_backoff: Duration::ZERO,
            unsent: 0,
            refused: false,
            repeats: false,
            permit: None,
            last_failure: None,
        }
    }

    /// A service for the next attempt; its readiness is unknown.
    pub(super) fn service(&self) -> S {
        self.service.clone()
    }

    /// The request of the next attempt, which starts now.
    pub(super) fn next_request<B: RequestBody>(&mut self) -> Request<B> {
        if let Some(permit) = self.permit.take() {
            permit.start();
        }
        // A transparent retry is the same attempt once more (CONTRACT X3, R10).
        if !std::mem::take(&mut self.repeats) {
            self.attempts = self.attempts.saturating_add(1);
        }
        self.count_previous();
        let context = Context::of(&mut self.parts.extensions);
        context.number(self.attempts);
        if let Some(trace) = context.trace() {
            trace.attempt(self.attempts);
        }
        let body = B::from_replay(self.captured.replay());
        Request::from_parts(self.parts.clone(), body)
    }

    /// CONTRACT R10: ours alone, whatever the caller put there.
    fn count_previous(&mut self) {
        let headers = &mut self.parts.headers;
        match self.attempts.saturating_sub(1) {
            0 => headers.remove(PREVIOUS_ATTEMPTS),
            previous => headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from(previous)),
        };
    }

    /// Judges a failed attempt: charges the budget, asks the policy, then the budget.
    pub(super) fn after(&mut self, error: Error) -> Next {
        let outcome = self.outcome(&error);
        let plan = self.policy.decide(&outcome);
        let transparent = matches!(plan, Plan::Transparent { .. });
        if !transparent && self.policy.is_charged(&outcome.verdict) {
            self.budget(|budget| budget.failed());
        }
        match plan {
            Plan::Stop(GiveUp::Deadline) if outcome.has_timed_out() => {
                Next::Stop(self.expired(error))
            }
            Plan::Stop(reason) => Next::Stop(self.give_up(error, reason)),
            Plan::Transparent { after } => {
                self.repeats = true;
                if outcome.verdict.progress == Progress::Refused {
                    self.refused = true;
                } else {
                    self.unsent += 1;
                }
                self.wait(error, after)
            }
            Plan::Retry { after, hinted } => {
                match self.budget(|budget| budget.permit()) {
                    Some(None) => return Next::Stop(self.give_up(error, GiveUp::BudgetExhausted)),
                    Some(permit) => self.permit = permit,
                    None => {}
                }
                self.retries = if hinted {
                    0
                } else {
                    self.retries.saturating_add(1)
                };
                self.previous_backoff = if hinted { Duration::ZERO } else { after };
                self.wait(error, after)
            }
        }
    }

    /// What the body of a response that goes up has to watch for.
    pub(super) fn watch(&self) -> Watch {
        let budget = self.context().and_then(Context::budget);
        Watch::new(budget.cloned(), Arc::clone(&self.policy), self.attempts)
    }

    /// Whether the head may be held until the first frame: only one message can come.
    pub(super) fn answers_once(&self) -> bool {
        self.context()
            .and_then(Context::kind)
            .is_some_and(MethodKind::answers_once)
    }

    fn outcome(&self, error: &Error) -> Outcome {
        let context = self.context();
        let deadline = context.and_then(Context::deadline);
        Outcome {
            verdict: error.verdict(),
            attempts: self.attempts,
            retries: self.retries,
            previous_backoff: self.previous_backoff,
            unsent: self.unsent,
            refused: self.refused,
            safety: context.map(Context::safety).unwrap_or_default(),
            remaining: deadline.map(|deadline| deadline.remaining(Instant::now())),
            unit: self.rng.unit(),
        }
    }

    fn wait(&mut self, error: Error, after: Duration) -> Next {
        if let Some(trace) = self.context().and_then(Context::trace) {
            trace.enter(Phase::Backoff);
            trace.failed(Arc::new(error.clone()));
        }
        self.last_failure = Some(error);
        Next::Wait(after)
    }

    /// A readiness error never hides what the server last said (CONTRACT R17).
    fn give_up(&mut self, error: Error, reason: GiveUp) -> Error {
        let not_ready = matches!(
            error.verdict().reason,
            Reason::ChannelClosed | Reason::NotReady
        );
        let error = match self.last_failure.take() {
            Some(real) if not_ready => real,
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
                Error::expired(deadline, Phase::Attempt, Some(last))
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
        self.parts.extensions.get::<Context>()
    }
}
