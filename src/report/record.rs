use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::classify::{Progress, Verdict};
use crate::grpc::Code;

use super::{FailedAttempt, GiveUp, Phase};

/// So many failed attempts are kept of a call: more than a policy with a count makes, and a bound
/// for one without.
const KEPT: usize = 16;

pub(super) type SharedError = Arc<dyn std::error::Error + Send + Sync>;

/// What is written down of one call; the time is passed in.
#[derive(Debug, Default)]
pub(super) struct Record {
    phase: Phase,
    started: Option<Instant>,
    /// Since when it is in this phase.
    since: Option<Instant>,
    spent: [Duration; Phase::COUNT],
    waits: u32,
    attempts: u32,
    transparent: u32,
    attempt_began: Option<Instant>,
    is_repeat: bool,
    failed: VecDeque<FailedAttempt>,
    may_have_run: bool,
    last_failure: Option<SharedError>,
    end: Option<(Code, Option<GiveUp>)>,
    /// How many layers have the call in hand.
    holders: u32,
}

impl Record {
    /// Takes the call in hand, and says whether nobody else had; one that ended before is sent once
    /// more.
    pub(super) fn hold(&mut self, now: Instant) -> bool {
        let is_first = self.holders == 0;
        self.holders += 1;
        if self.phase == Phase::Over {
            self.end = None;
            self.enter(Phase::Queued, now);
        }
        self.started.get_or_insert(now);
        is_first
    }

    /// Lets go of it; who lets go last ends it, and what has no end by then was dropped.
    pub(super) fn release(&mut self, now: Instant) {
        self.holders = self.holders.saturating_sub(1);
        if self.holders == 0 {
            self.end
                .get_or_insert((Code::Cancelled, Some(GiveUp::Cancelled)));
            self.enter(Phase::Over, now);
        }
    }

    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        if phase == self.phase {
            return;
        }
        self.started.get_or_insert(now);
        let spent = self.spent_since(now);
        if let Some(total) = self.spent.get_mut(self.phase as usize) {
            *total = total.saturating_add(spent);
        }
        self.phase = phase;
        self.since = Some(now);
    }

    /// This attempt begins, or goes once more.
    pub(super) fn attempt(&mut self, number: u32, transparent: bool, now: Instant) {
        self.attempts = number;
        self.is_repeat = transparent;
        self.transparent = self.transparent.saturating_add(u32::from(transparent));
        self.attempt_began = Some(now);
    }

    /// It failed.
    pub(super) fn attempt_failed(&mut self, verdict: Verdict, now: Instant) {
        self.may_have_run |= !verdict.progress.is_unprocessed();
        let began = self.attempt_began.take().unwrap_or(now);
        let attempt = FailedAttempt {
            number: self.attempts,
            transparent: self.is_repeat,
            verdict,
            began: began.saturating_duration_since(self.started.unwrap_or(began)),
            took: now.saturating_duration_since(began),
        };
        if self.failed.len() == KEPT {
            self.failed.pop_front();
        }
        self.failed.push_back(attempt);
    }

    /// Keeps the error, and gives back the one before.
    pub(super) fn keep(&mut self, error: SharedError) -> Option<SharedError> {
        self.last_failure.replace(error)
    }

    /// The call waits in this phase, after this error.
    pub(super) fn wait(
        &mut self,
        error: SharedError,
        phase: Phase,
        now: Instant,
    ) -> Option<SharedError> {
        self.waits = self.waits.saturating_add(1);
        self.enter(phase, now);
        self.keep(error)
    }

    /// How it ended; who says so last, the outermost, is right.
    pub(super) fn end(&mut self, code: Code, give_up: Option<GiveUp>) {
        self.end = Some((code, give_up));
    }

    pub(super) fn end_without_status(&mut self) {
        self.end.get_or_insert((Code::Unknown, None));
    }

    /// How far the call certainly got, before it has an answer.
    pub(super) fn progress(&self) -> Progress {
        if self.may_have_run || self.phase.is_with_the_server() {
            Progress::Reached
        } else {
            Progress::NotSent
        }
    }

    fn spent_since(&self, now: Instant) -> Duration {
        self.since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// What the report reads.
impl Record {
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) fn transparent(&self) -> u32 {
        self.transparent
    }

    pub(super) fn waits(&self) -> u32 {
        self.waits
    }

    pub(super) fn failed(&self) -> Vec<FailedAttempt> {
        self.failed.iter().copied().collect()
    }

    pub(super) fn last_failure(&self) -> Option<SharedError> {
        self.last_failure.clone()
    }

    /// `None` while it is under way.
    pub(super) fn ended(&self) -> Option<(Code, Option<GiveUp>)> {
        self.end.filter(|_| self.phase == Phase::Over)
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
        let until = self.since.filter(|_| self.phase == Phase::Over);
        let until = until.unwrap_or(now);
        self.started.map_or(Duration::ZERO, |started| {
            until.saturating_duration_since(started)
        })
    }
}
