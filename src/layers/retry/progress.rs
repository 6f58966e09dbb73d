use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Uri};
use tokio::time::Instant;

use crate::call::{Budget, CallOptions, Context};
use crate::classify::Progress;
use crate::dispatch::{Essentials, Head};
use crate::error::{Error, GiveUp};
use crate::grpc::{MethodKind, PREVIOUS_ATTEMPTS};
use crate::report::{Phase, Trace};

use super::completion::Completion;
use super::hook::Preparing;
use super::pending_permit::PendingPermit;
use super::settings::Settings;
use super::{NextAttempt, Outcome, Policy};

/// The progress of one call: its head, its policy, and its attempts so far.
#[derive(Debug)]
pub(super) struct CallProgress {
    head: Head,
    /// `None` once the call is committed.
    policy: Option<Arc<dyn Policy>>,
    pub(super) attempts: u32,
    pub(super) retries: u32,
    pub(super) previous_backoff: Duration,
    pub(super) unsent: u32,
    pub(super) refused: bool,
    pub(super) gone_away: u32,
    pub(super) repetition: Repetition,
    /// Whether a layer below may hand the request back. It may do so once.
    pub(super) may_come_back: bool,
    pub(super) renewed: bool,
    pub(super) spend: PendingPermit,
    pub(super) last_failure: Option<Error>,
    /// The last failure that does not come from the hook.
    pub(super) last_real: Option<Arc<Error>>,
}

/// The attempt that is a transparent retry, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repetition {
    None,
    /// The next one.
    Next,
    /// This one.
    Now,
}

impl CallProgress {
    #[expect(
        clippy::inline_always,
        reason = "it is made where it is kept, not moved there"
    )]
    #[inline(always)]
    pub(super) fn new(head: Head, policy: Arc<dyn Policy>) -> Self {
        Self {
            head,
            policy: Some(policy),
            attempts: 0,
            retries: 0,
            previous_backoff: Duration::ZERO,
            unsent: 0,
            refused: false,
            gone_away: 0,
            repetition: Repetition::None,
            may_come_back: false,
            renewed: false,
            spend: PendingPermit::default(),
            last_failure: None,
            last_real: None,
        }
    }

    /// Keeps these headers, with the rest of the head.
    #[inline]
    pub(super) fn keep(&mut self, headers: &HeaderMap) {
        self.head.keep(headers);
    }

    /// Begins the next attempt, and returns the hook to run before its request is made.
    pub(super) fn begin(&mut self, settings: &Settings) -> Option<Preparing> {
        // A transparent retry repeats the attempt under its number (CONTRACT X3, R10).
        if self.repetition == Repetition::Next {
            self.repetition = Repetition::Now;
        } else {
            self.repetition = Repetition::None;
            self.attempts = self.attempts.saturating_add(1);
        }
        let hook = settings.hook.as_ref()?;
        self.write(|trace| {
            trace.attempt(self.attempts, self.is_repetition());
            trace.enter(Phase::Preparing);
        });
        Some(hook.prepare(NextAttempt {
            uri: self.head.uri().clone(),
            number: self.attempts,
            headers: self.head.headers(),
            last_failure: self.last_failure.clone(),
            is_refused: false,
        }))
    }

    /// Starts the first attempt, with the caller's own head.
    #[inline]
    pub(super) fn begin_first(
        &mut self,
        headers: &mut HeaderMap,
        may_come_back: bool,
        now: Instant,
    ) {
        self.may_come_back = may_come_back;
        clear_count(self.head.essentials(), headers);
        self.began(false, now);
    }

    /// Whether no attempt can follow the one that begins now, if its own timeout ends it
    /// (CONTRACT D12).
    fn is_last(&self, now: Instant) -> bool {
        let Some(policy) = self.policy() else {
            return true;
        };
        let timed_out = Outcome {
            attempts: self.attempts,
            retries: self.retries,
            previous_backoff: self.previous_backoff,
            unsent: self.unsent,
            refused: self.refused,
            gone_away: self.gone_away,
            ..Outcome::timed_out(self.context(), now)
        };
        timed_out.is_last(policy)
    }

    fn is_repetition(&self) -> bool {
        self.repetition == Repetition::Now
    }

    /// Records the start of the attempt. `is_told`: its number was recorded before the hook ran.
    fn began(&self, is_told: bool, now: Instant) {
        self.write(|trace| {
            if is_told {
                trace.attempt_began(now);
            } else {
                trace.attempt_begins(self.attempts, self.is_repetition(), now);
            }
        });
    }

    /// Starts the attempt and returns its request, with the headers of the hook, if one ran.
    pub(super) fn request<B>(&mut self, body: B, prepared: Option<HeaderMap>) -> Request<B> {
        let now = Instant::now();
        let is_last = self.is_last(now);
        let refused = u32::from(self.refused);
        let returns = (self.unsent.saturating_add(self.gone_away)).saturating_add(refused);
        let context = self.head.context_mut();
        if let Some(failure) = &self.last_failure
            && !matches!(
                failure.verdict().progress,
                Progress::NotSent | Progress::Refused
            )
            && let Some(endpoint) = failure.endpoint()
        {
            context.failed_at(endpoint, failure.leader());
        }
        context.set_attempt(self.attempts, false);
        context.came_back(returns);
        context.follow_no_more(is_last);
        self.began(prepared.is_some(), now);
        let mut request = self.head.request(body);
        if let Some(headers) = prepared {
            *request.headers_mut() = headers;
        }
        self.count_previous(request.headers_mut());
        request
    }

    /// Called while the attempt has no response. Returns whether it waits for its channel, which
    /// may take long.
    pub(super) fn goes_on(&mut self) -> bool {
        let phase = self.trace().map(Trace::phase);
        self.spend.is_with_channel(phase == Some(Phase::Attempt));
        phase == Some(Phase::NotReady)
    }

    /// Called with the response. Returns whether its head may be held until the first frame.
    pub(super) fn answered(&mut self) -> bool {
        self.spend.answered();
        self.answers_once()
    }

    /// The last failure, final for this reason.
    pub(super) fn ended_by(&mut self, reason: GiveUp) -> Option<Error> {
        let last = self.last_failure.take()?;
        Some(last.given_up(reason, self.attempts))
    }

    /// Commits the call: no attempt follows. Returns the state that the body needs.
    #[inline]
    pub(super) fn commit(&mut self) -> Completion {
        Completion::new(self.policy.take(), self.head.context_mut(), self.attempts)
    }

    /// CONTRACT R10: the layer's own count replaces a value from the caller.
    fn count_previous(&self, headers: &mut HeaderMap) {
        match self.attempts.saturating_sub(1) {
            0 => headers.remove(PREVIOUS_ATTEMPTS),
            previous => headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from(previous)),
        };
    }

    /// Whether the head may be held until the first frame: only one message can come.
    pub(super) fn answers_once(&self) -> bool {
        self.kind().is_some_and(MethodKind::answers_once)
    }

    pub(super) fn path(&self) -> &str {
        self.head.uri().path()
    }

    pub(super) fn kind(&self) -> Option<MethodKind> {
        self.context().and_then(Context::kind)
    }

    pub(super) fn budget<T>(&self, ask: impl FnOnce(&dyn Budget) -> T) -> Option<T> {
        let budget = self.context()?.budget()?;
        Some(ask(&**budget))
    }

    pub(super) fn policy(&self) -> Option<&dyn Policy> {
        self.policy.as_deref()
    }

    pub(super) fn uri(&self) -> &Uri {
        self.head.uri()
    }

    pub(super) fn context(&self) -> Option<&Context> {
        self.head.context()
    }

    pub(super) fn options(&self) -> &CallOptions {
        let context = self.context();
        context.map_or(CallOptions::unset(), Context::options)
    }

    pub(super) fn trace(&self) -> Option<&Trace> {
        self.context().and_then(Context::trace)
    }

    pub(super) fn write(&self, write: impl FnOnce(&Trace)) {
        if let Some(trace) = self.trace() {
            write(trace);
        }
    }

    /// The progress of the call, from its trace.
    pub(super) fn progress(&self) -> Progress {
        self.trace().map_or(Progress::Reached, Trace::progress)
    }
}

/// Removes a count that the caller wrote: no attempt came before the first (CONTRACT R10).
#[inline]
pub(crate) fn clear_count(essentials: &Essentials, headers: &mut HeaderMap) {
    if essentials.is_counted() {
        headers.remove(PREVIOUS_ATTEMPTS);
    }
}
