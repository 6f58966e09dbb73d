//! What a stream does after each event.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Response;

use crate::call::{AttemptKind, Permit};
use crate::classify::Endpoint;
use crate::error::GiveUp;
use crate::events::stream as events;
use crate::grpc::Code;

use super::Gap;
use super::decision::{Moment, Step};
use super::failure::Failure;
use super::held::Fate;
use super::opening::Messages;
use super::resumable::{Ready, Resumable, State};
use super::silence::Silence;

/// The least wait of an opening for which the budget has no permit. It is then a call of its own.
const UNPERMITTED: Duration = Duration::from_secs(30);

/// Added to it, up to this part.
const UNPERMITTED_SPREAD: f64 = 0.2;

/// How the next opening may begin.
struct Leave {
    after: Duration,
    permit: Option<Permit>,
    /// It has what it costs; else it waits for longer instead.
    is_permitted: bool,
}

impl<T, Token: Clone + PartialEq> Resumable<T, Token> {
    fn moment(&self) -> Moment {
        let now = Instant::now();
        let deadline = self.deadline.as_ref();
        Moment {
            now,
            unit: self.rng.unit(),
            remaining: deadline.map(|it| it.at().saturating_duration_since(now)),
        }
    }

    fn method(&self) -> Option<&str> {
        self.parts.method.as_deref()
    }

    /// The wait before an opening is over.
    pub(super) fn open(&mut self) {
        let moment = self.moment();
        if let State::Waiting { permit, .. } = &mut self.state
            && let Some(permit) = permit.take()
        {
            permit.start();
        }
        self.course.opens(moment.now);
        let token = self.course.token().cloned();
        self.record.opens(moment.now, token.is_some());
        let bound = self.parts.open_timeout;
        self.state = State::Opening {
            opening: (self.parts.open)(token, moment.remaining),
            bound: bound.map(|limit| self.home.timer_after(limit)),
        };
    }

    pub(super) fn opened(&mut self, response: Response<Messages<T>>) {
        let endpoint = response.extensions().get::<Endpoint>().cloned();
        self.course.opened(Instant::now());
        self.state = State::Open {
            messages: response.into_inner(),
            silence: self.parts.silence.as_ref().map(Silence::anew),
            endpoint,
        };
    }

    /// A message came.
    pub(super) fn take(&mut self, item: T) {
        self.record.item();
        if self.parts.is_lost.as_mut().is_some_and(|it| it(&item)) {
            self.lost(item);
            return;
        }
        let token = (self.parts.token_of)(&item);
        self.course.on_item(token.as_ref());
        match self.held.take(item, token.is_some()) {
            Fate::Waits => return,
            Fate::Released => {}
            Fate::Overflows => {
                let (items, bytes) = self.held.size();
                self.course.overflows();
                self.record.overflows();
                let method = self.parts.method.as_deref();
                let say = || events::unresumable(method, items, bytes);
                self.has_overflowed.say(say);
            }
        }
        self.release(token);
    }

    /// Hands on what waits; the last message has this token.
    fn release(&mut self, mut token: Option<Token>) {
        let mut released = self.held.release();
        let last = released.pop_back();
        let before = released.into_iter().map(|item| Ready::Item(item, None));
        self.ready.extend(before);
        self.ready
            .extend(last.map(|item| Ready::Item(item, token.take())));
    }

    /// The server told in this message that it no longer has the token (CONTRACT S3).
    fn lost(&mut self, item: T) {
        let failure = Failure::lost();
        let step = self.course.on_lost_message(self.moment());
        self.note(&failure, true);
        self.held.discard();
        match step {
            Step::Restart { after, is_told } => {
                let message = is_told.then_some(item);
                self.restart(after, is_told, message, Some(failure));
            }
            step => {
                // The caller's code knows how to read it.
                self.ready.push_back(Ready::Item(item, None));
                self.follow(step, Some(failure), false);
            }
        }
    }

    /// The server ended the stream with OK (CONTRACT S2).
    pub(super) fn ended(&mut self) {
        let step = self.course.on_end(self.moment());
        if step == Step::Done {
            // Nothing follows that could bring these messages again.
            self.release(None);
        }
        self.follow(step, None, false);
    }

    /// An opening failed, or the stream broke off.
    pub(super) fn failed(&mut self, failure: Failure) {
        let decision = self.course.on_failure(&failure.error, self.moment());
        self.note(&failure, decision.is_refusal);
        let is_charged = decision.is_charged && !failure.is_charged;
        self.follow(decision.step, Some(failure), is_charged);
    }

    fn note(&self, failure: &Failure, is_refusal: bool) {
        let error = &failure.error;
        let (verdict, endpoint) = (error.verdict(), error.endpoint());
        let now = Instant::now();
        self.record
            .fails(verdict, error.status(), endpoint, is_refusal, now);
    }

    /// `failure` is `None` after a clean end.
    fn follow(&mut self, step: Step, failure: Option<Failure>, is_charged: bool) {
        if is_charged && let Some(budget) = self.parts.budget.get() {
            budget.failed();
        }
        if step != Step::Done {
            self.held.discard();
        }
        match step {
            Step::Done => {
                self.state = State::Over;
                self.record.ends(Code::Ok, None, Instant::now());
            }
            Step::Fail(give_up) => self.fail(failure.unwrap_or_else(Failure::ended), give_up),
            Step::Restart { after, is_told } => self.restart(after, is_told, None, failure),
            Step::Reopen { after, costs } => {
                let Some(leave) = self.leave(after, costs) else {
                    let failure = failure.unwrap_or_else(Failure::ended);
                    return self.fail(failure, GiveUp::BudgetExhausted);
                };
                let attempt = self.course.attempts();
                match &failure {
                    Some(it) => events::reopens(self.method(), attempt, it.error.event(), after),
                    None => events::ended(self.method(), attempt, after),
                }
                self.wait(leave);
            }
        }
    }

    fn restart(
        &mut self,
        after: Duration,
        is_told: bool,
        message: Option<T>,
        failure: Option<Failure>,
    ) {
        let Some(leave) = self.leave(after, true) else {
            // The caller's code knows how to read it.
            self.ready.extend(message.map(|it| Ready::Item(it, None)));
            let failure = failure.unwrap_or_else(Failure::ended);
            return self.fail(failure, GiveUp::BudgetExhausted);
        };
        let failed = failure.as_ref().map(|it| it.error.event());
        let on_lost = self.course.on_lost();
        events::token_lost(self.method(), failed, on_lost.name(), after);
        self.record.gap();
        let from = self.course.take_lost();
        if is_told {
            let status = failure
                .filter(|_| message.is_none())
                .map(|it| it.error.status().clone());
            self.ready.push_back(Ready::Gap(Gap {
                from,
                message,
                status,
            }));
        }
        self.wait(leave);
    }

    /// The leave to open again after this wait; `None` if the deadline of the stream passes first,
    /// because the budget has no permit (CONTRACT S8).
    fn leave(&self, after: Duration, costs: bool) -> Option<Leave> {
        let budget = self.parts.budget.get().filter(|_| costs);
        let permit = budget.and_then(|budget| budget.permit(AttemptKind::Retry));
        let is_permitted = budget.is_none() || permit.is_some();
        if is_permitted {
            return Some(Leave {
                after,
                permit,
                is_permitted,
            });
        }
        let moment = self.moment();
        let spread = 1.0 + UNPERMITTED_SPREAD * moment.unit;
        let after = after.max(UNPERMITTED.mul_f64(spread));
        let is_in_time = moment.remaining.is_none_or(|left| after < left);
        is_in_time.then_some(Leave {
            after,
            permit,
            is_permitted,
        })
    }

    /// Drops the stream that runs, and waits for the next opening (CONTRACT S5).
    fn wait(&mut self, leave: Leave) {
        let after = leave.after;
        if !leave.is_permitted {
            self.record.unpermitted();
            events::unpermitted(self.method(), self.course.attempts(), after);
        }
        self.state = State::Waiting {
            timer: (!after.is_zero()).then(|| self.home.timer_after(after)),
            permit: leave.permit,
            is_dropped_now: true,
        };
    }

    /// The stream is over for a caller that no gap concerns.
    pub(super) fn ends_at_gap(&mut self) {
        let give_up = Some(GiveUp::TokenLost);
        self.record.ends(Code::DataLoss, give_up, Instant::now());
    }

    pub(super) fn fail(&mut self, failure: Failure, give_up: GiveUp) {
        let attempts = self.course.attempts();
        let code = failure.error.code();
        let event = failure.error.event();
        events::failed(self.method(), attempts, event, give_up.name());
        self.state = State::Over;
        self.held.discard();
        self.record.ends(code, Some(give_up), Instant::now());
        let status = failure.into_status(give_up, attempts);
        self.ready.push_back(Ready::Failed(status));
    }
}
