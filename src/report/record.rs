use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::time::Instant;

use crate::classify::{Endpoint, Progress, Reason, Verdict};
use crate::grpc::Code;

use super::{FailedAttempt, GiveUp, Phase};

/// How many failed attempts of a call are kept: more than a counting policy makes, and a bound for
/// a policy without a count.
const KEPT: usize = 16;

/// An error with several owners.
pub(crate) type SharedError = Arc<dyn std::error::Error + Send + Sync>;

/// The record of one call. The time is passed in.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a happening of its own"
)]
pub(super) struct Record {
    /// The path of the request, which names the method in events.
    path: Option<PathAndQuery>,
    phase: Phase,
    started: Option<Instant>,
    /// When the current phase began.
    since: Option<Instant>,
    spent: [Duration; Phase::COUNT],
    pub(super) waits: u32,
    /// It was logged that the call waits for the channel.
    pub(super) has_told_wait: bool,
    pub(super) attempts: u32,
    pub(super) transparent: u32,
    attempt_began: Option<Instant>,
    /// When the request was last handed to an inner service, and its `grpc-timeout` was last
    /// written.
    handed_on: Option<Instant>,
    is_repeat: bool,
    failed: VecDeque<FailedAttempt>,
    reach: Reach,
    last_failure: Option<SharedError>,
    /// Why the channel is not ready. A failure of this call takes precedence (CONTRACT R17).
    not_ready: Option<SharedError>,
    /// Why a layer passed the call through.
    passing: Option<GiveUp>,
    end: Option<(Code, Option<GiveUp>)>,
    /// An acting layer has the call.
    pub(super) is_owned: bool,
    /// A report was taken before any layer had the call.
    is_asked: bool,
}

/// How far the request may have got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    NotSent,
    /// The inner service has it; nothing proves yet that it was not sent.
    InFlight,
    /// Some attempt may have run; this is final.
    MayHaveRun,
}

/// Writing.
impl Record {
    /// The record of a call that begins now.
    pub(super) fn begun(path: Option<PathAndQuery>, now: Instant) -> Self {
        Self {
            path,
            phase: Phase::Queued,
            started: Some(now),
            since: Some(now),
            is_owned: true,
            ..Self::default()
        }
    }

    /// The record of a call whose report is being read already.
    pub(super) fn asked(path: Option<PathAndQuery>, now: Instant) -> Self {
        Self {
            is_asked: true,
            ..Self::begun(path, now)
        }
    }

    /// Also when an earlier attempt was under way: it may have been handed back.
    pub(super) fn reaches(&mut self, phase: Phase) {
        if phase == Phase::Attempt && self.reach == Reach::NotSent {
            self.reach = Reach::InFlight;
        }
    }

    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        self.reaches(phase);
        if phase == self.phase {
            return;
        }
        self.started.get_or_insert(now);
        let spent = match self.since {
            // Skips a subtraction in the usual case.
            Some(since) if since == now => Duration::ZERO,
            _ => self.spent_since(now),
        };
        if let Some(total) = self.spent.get_mut(self.phase as usize) {
            *total = total.saturating_add(spent);
        }
        self.phase = phase;
        self.since = Some(now);
        if phase == Phase::Attempt {
            self.handed_on = Some(now);
        }
    }

    /// The next attempt, or a transparent retry of the current one.
    pub(super) fn attempt(&mut self, number: u32, transparent: bool) {
        self.attempts = number;
        self.is_repeat = transparent;
        self.transparent = self.transparent.saturating_add(u32::from(transparent));
    }

    pub(super) fn attempt_began(&mut self, now: Instant) {
        self.attempt_began = Some(now);
    }

    pub(super) fn attempt_failed(
        &mut self,
        verdict: Verdict,
        endpoint: Option<Endpoint>,
        now: Instant,
    ) {
        self.came_back(!verdict.progress.is_unprocessed());
        let began = self.attempt_began.take().unwrap_or(now);
        if self.failed.len() == KEPT {
            self.failed.pop_front();
        }
        self.failed.push_back(FailedAttempt {
            number: self.attempts,
            transparent: self.is_repeat,
            verdict,
            began: began.saturating_duration_since(self.started.unwrap_or(began)),
            took: now.saturating_duration_since(began),
            endpoint,
        });
    }

    /// The request is no longer under way; `may_have_run` states whether it may have run.
    pub(super) fn came_back(&mut self, may_have_run: bool) {
        self.reach = match (may_have_run, self.reach) {
            (true, _) | (_, Reach::MayHaveRun) => Reach::MayHaveRun,
            (false, _) => Reach::NotSent,
        };
    }

    pub(super) fn waits(&mut self, phase: Phase, now: Instant) {
        self.waits = self.waits.saturating_add(1);
        self.enter(phase, now);
    }

    /// So much of the phase that goes on was a wait for the channel.
    pub(super) fn waited(&mut self, waited: Duration) {
        self.waits = self.waits.saturating_add(1);
        if let Some(total) = self.spent.get_mut(Phase::NotReady as usize) {
            *total = total.saturating_add(waited);
        }
        self.since = self.since.map(|since| since + waited);
        self.handed_on = self.since;
    }

    /// Keeps a failure of the call and returns the previous one.
    pub(super) fn keep(&mut self, error: SharedError) -> Option<SharedError> {
        self.last_failure.replace(error)
    }

    /// Keeps why the channel is not ready and returns the previous error.
    pub(super) fn keep_not_ready(&mut self, error: SharedError) -> Option<SharedError> {
        self.not_ready.replace(error)
    }

    pub(super) fn passes(&mut self, reason: GiveUp) {
        self.passing = Some(reason);
    }

    /// Records the end, and its meaning for an attempt under way.
    pub(super) fn end(
        &mut self,
        code: Code,
        give_up: Option<GiveUp>,
        verdict: Verdict,
        endpoint: Option<Endpoint>,
        now: Instant,
    ) {
        let give_up = give_up.or(self.passing).filter(|_| code != Code::Ok);
        self.end = Some((code, give_up));
        if self.attempt_began.is_some() {
            self.attempt_failed(verdict, endpoint, now);
        }
    }

    /// Records the start of the answer; a Trailers-Only head also ends it.
    pub(super) fn answered(&mut self, code: Option<Code>, now: Instant) {
        self.came_back(true);
        self.enter(Phase::Response, now);
        if let Some(code) = code {
            self.end_with(code);
        }
    }

    pub(super) fn end_with(&mut self, code: Code) {
        self.end = Some((code, self.passing.filter(|_| code != Code::Ok)));
        self.attempt_began = None;
    }

    /// The answer ended without a further status; its head may have stated one (CONTRACT R16).
    pub(super) fn end_in_silence(&mut self) {
        self.end.get_or_insert((Code::Unknown, self.passing));
    }

    /// No layer has the call any more; without an end it was dropped.
    pub(super) fn close(&mut self, now: Instant) {
        if self.end.is_none() {
            let dropped = Verdict::new(self.progress(), Code::Cancelled, Reason::Dropped);
            self.passing = None;
            self.end(Code::Cancelled, Some(GiveUp::Cancelled), dropped, None, now);
        }
        self.enter(Phase::Over, now);
        self.is_owned = false;
    }

    fn spent_since(&self, now: Instant) -> Duration {
        self.since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// Reading.
impl Record {
    /// Whether the response carries the report: if the call took more than one immediate attempt,
    /// or if a report was taken.
    pub(super) fn is_told(&self) -> bool {
        let has_waited = Phase::ALL
            .into_iter()
            .zip(self.spent)
            .any(|(phase, spent)| {
                !matches!(phase, Phase::NotStarted | Phase::Attempt) && !spent.is_zero()
            });
        self.is_asked || self.attempts > 1 || self.transparent > 0 || has_waited
    }

    pub(super) fn path(&self) -> Option<PathAndQuery> {
        self.path.clone()
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn handed_on(&self) -> Option<Instant> {
        self.handed_on
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// How far the call got: certainly not sent, or possibly further.
    pub(super) fn progress(&self) -> Progress {
        match self.reach {
            Reach::NotSent => Progress::NotSent,
            Reach::InFlight | Reach::MayHaveRun => Progress::Reached,
        }
    }

    pub(super) fn failed(&self) -> Vec<FailedAttempt> {
        self.failed.iter().cloned().collect()
    }

    pub(super) fn last_failure(&self) -> Option<SharedError> {
        self.last_failure.clone().or_else(|| self.not_ready.clone())
    }

    /// `None` while it is under way.
    pub(super) fn ended(&self) -> Option<(Code, Option<GiveUp>)> {
        self.end.filter(|_| self.is_over())
    }

    pub(super) fn time_in(&self, phase: Phase, now: Instant) -> Duration {
        let total = self.spent.get(phase as usize).copied().unwrap_or_default();
        if phase == self.phase {
            total.saturating_add(self.spent_since(now))
        } else {
            total
        }
    }

    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        let until = self.since.filter(|_| self.is_over()).unwrap_or(now);
        self.started.map_or(Duration::ZERO, |started| {
            until.saturating_duration_since(started)
        })
    }
}
