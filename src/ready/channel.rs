use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

use super::finding::{Change, Finding, Pick};
use super::losses::{End, Losses};
use super::outage::Outage;
use super::running_probe::RunningProbe;
use super::several::Several;
use super::streak::Streak;
use super::{ConnectivityState, WaitForReadyPolicy};

/// The state of a channel, as calls have shown it: a pure state machine that gets the time passed
/// in.
///
/// Probes are numbered. The number of a probe is the generation of all calls that go because of it;
/// a higher one belongs to a later connection.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    pub(crate) phase: Inferred,
    /// Present until an answer ends it.
    pub(crate) outage: Option<Outage>,
    /// Connections lost in a row before any answer.
    pub(crate) losses: Losses,
    /// With several endpoints: failed picks in a row.
    picks: Streak,
    /// With several endpoints: how many probes have followed a failed one at once.
    followed: u32,
    pub(crate) several: Several,
    /// A request was read and then no connection could be made for it. Until an answer comes, a
    /// read request does not prove an open stream.
    pub(crate) is_suspect: bool,
    pub(crate) probes: u64,
    pub(crate) probe: Option<RunningProbe>,
    /// The probe that last proved the channel ready; results of earlier probes are ignored.
    pub(crate) shown_by: u64,
    /// When a probe ended without a result, if none was begun since.
    pub(crate) abandoned: Option<Instant>,
    /// Whether any call was ever answered.
    pub(crate) has_answered: bool,
    last_error: Option<Arc<Error>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Inferred {
    /// Nothing is known, or the last connection was lost: one call probes the channel.
    #[default]
    Unproven,
    /// A probe opened a stream that has no answer yet: a proxy without a server does as much.
    Opened(Instant),
    Ready,
    /// gRPC's `TRANSIENT_FAILURE`.
    Failing,
    /// The server closes each connection by a GOAWAY before it answers on it. Dials follow the
    /// backoff, but do not count as failures.
    Paused,
    /// The channel can never become ready again.
    Shutdown,
}

impl Channel {
    pub(crate) fn find(&self, now: Instant) -> Finding {
        let due = match (self.phase, &self.probe) {
            (Inferred::Ready | Inferred::Opened(_), _) => return Finding::Ready,
            (Inferred::Shutdown, _) => return Finding::Shutdown,
            (_, Some(test)) if now < test.is_lost_at(self.pause()) => {
                return Finding::NotBefore(test.next_look(self.pause(), now));
            }
            (_, Some(_)) | (Inferred::Unproven, None) => return Finding::Due,
            (Inferred::Failing | Inferred::Paused, None) => self.outage.map(|it| it.next_dial),
        };
        match due {
            Some(due) if now < due => Finding::NotBefore(due),
            _ => Finding::Due,
        }
    }

    /// The last wait of the backoff.
    fn pause(&self) -> Duration {
        self.outage.map_or(Duration::ZERO, |it| it.previous)
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.phase, Inferred::Ready | Inferred::Opened(_))
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        matches!(self.phase, Inferred::Shutdown)
    }

    /// Whether a call that does not wait fails at once (CONTRACT W1).
    pub(crate) fn is_failing(&self) -> bool {
        matches!(self.phase, Inferred::Failing)
    }

    pub(crate) fn last_error(&self) -> Option<&Arc<Error>> {
        self.last_error.as_ref()
    }

    /// The generation of calls that go now.
    pub(crate) fn shown_by(&self) -> u64 {
        self.shown_by
    }

    /// Whether the current state comes from the probe with this number.
    fn is_shown_by(&self, number: u64) -> bool {
        self.is_probed_by(number) || self.is_ready() && self.shown_by == number
    }

    /// Whether a success of this probe says anything about the channel's current connection.
    pub(crate) fn can_be_shown_by(&self, number: u64) -> bool {
        number > self.shown_by
    }

    /// Whether the state of one connection does not apply to the others.
    pub(crate) fn is_several(&self, policy: &WaitForReadyPolicy, now: Instant) -> bool {
        !policy.is_single() || !policy.is_told && self.several.is_known(now)
    }

    /// A stream was opened, for a probe if `probe` is set. Returns the previous error, to be
    /// dropped outside the lock.
    pub(crate) fn opened(&mut self, probe: Option<u64>, now: Instant) -> Option<Arc<Error>> {
        self.shown_by = probe.unwrap_or_else(|| {
            self.probes += 1;
            self.probes
        });
        self.phase = Inferred::Opened(now);
        self.picks = Streak::default();
        self.probe = None;
        self.abandoned = None;
        self.last_error.take()
    }

    /// A call of the current generation was answered: earlier failures do not count any more.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.phase = Inferred::Ready;
        self.has_answered = true;
        self.outage = None;
        self.losses = Losses::default();
        self.picks = Streak::default();
        self.followed = 0;
        self.is_suspect = false;
        self.several.answered(now);
    }

    /// A call of an earlier generation was answered.
    ///
    /// If its connection counts as lost without an answer, it has served a call after all, and the
    /// next one is dialled at once (CONTRACT W9). The same applies if the call began after a failed
    /// dial: that dial may have been another endpoint's (W10).
    pub(crate) fn served(&mut self, number: u64) -> Change {
        let is_last = self.several.answered_late(number) && number == self.shown_by;
        let was_in_row = self.losses.count > 0 && number >= self.losses.first;
        if !is_last && !was_in_row {
            return Change::None;
        }
        self.losses = Losses::default();
        let waits = matches!(self.phase, Inferred::Failing | Inferred::Paused);
        if !waits || !is_last && self.outage.is_some_and(|it| !it.was_lost) {
            return Change::None;
        }
        self.outage = None;
        self.phase = Inferred::Unproven;
        Change::Phase
    }

    /// The channel can never become ready again. Returns the previous error.
    pub(crate) fn shut_down(&mut self, error: Arc<Error>) -> Option<Arc<Error>> {
        self.phase = Inferred::Shutdown;
        self.probe = None;
        self.last_error.replace(error)
    }

    /// The connection of a call with this number is lost. Swaps `error` for the previous one.
    pub(crate) fn lost(
        &mut self,
        number: u64,
        end: End,
        error: &mut Arc<Error>,
        policy: &WaitForReadyPolicy,
        wait: Duration,
        now: Instant,
    ) -> Change {
        let is_several = self.is_several(policy, now);
        self.several.lost();
        if is_several || !self.is_shown_by(number) {
            return Change::None;
        }
        let unserved = match self.phase {
            Inferred::Shutdown => return Change::None,
            // The connection had served calls, so another one may succeed.
            Inferred::Ready => None,
            Inferred::Opened(at) => Some(at),
            Inferred::Unproven | Inferred::Failing | Inferred::Paused => Some(now),
        };
        self.keep(error);
        self.probe = None;
        self.phase = Inferred::Unproven;
        if let Some(at) = unserved.filter(|_| self.losses.add(number, end)) {
            let outage = self.outage.unwrap_or(Outage::since(now));
            self.outage = Some(Outage {
                was_lost: true,
                ..outage.left_alone(wait, at)
            });
            self.phase = match end {
                End::Lost | End::Queued => Inferred::Failing,
                End::GoAway => Inferred::Paused,
            };
        }
        Change::Phase
    }

    /// No connection could be made. Swaps `error` for the previous one.
    pub(crate) fn failed(
        &mut self,
        pick: Pick,
        error: &mut Arc<Error>,
        policy: &WaitForReadyPolicy,
        wait: Duration,
        now: Instant,
    ) -> Change {
        let number = pick.number;
        // The call had shown the channel ready, but only by being read.
        self.is_suspect |= pick.is_test && number == self.shown_by;
        let counts = self.is_shown_by(number) || self.can_be_shown_by(number);
        if !counts && !self.is_shut_down() {
            return Change::None;
        }
        self.several.dial_failed(self.probes, now);
        let is_several = self.is_several(policy, now);
        match self.phase {
            Inferred::Unproven | Inferred::Failing | Inferred::Paused => {}
            // A layer below had read the request, which proves no stream.
            Inferred::Opened(_) if !is_several => {}
            Inferred::Ready | Inferred::Shutdown if !is_several => {
                self.keep(error);
                self.phase = Inferred::Unproven;
                self.probe = None;
                return Change::Phase;
            }
            Inferred::Ready | Inferred::Opened(_) | Inferred::Shutdown => {
                if !self.picks.fails(pick.own, policy.picks(), now) {
                    return Change::None;
                }
            }
        }
        self.several.hold(now);
        let outage = self.outage.unwrap_or(Outage::since(now));
        let is_follower = matches!(self.phase, Inferred::Failing) && is_several;
        self.outage = Some(if is_follower && self.followed < policy.followers() {
            self.followed += 1;
            outage.at_once(now)
        } else {
            self.followed = 0;
            outage.left_alone(wait, self.dialled(number, now))
        });
        let before = mem::replace(&mut self.phase, Inferred::Failing);
        // Another probe may be under way if this one was taken over.
        self.probe = self.probe.filter(|other| other.number != number);
        self.keep(error);
        match before {
            Inferred::Failing => Change::Schedule,
            _ => Change::Phase,
        }
    }

    /// The start of the pause after this probe failed. The error may be of the dial that an
    /// abandoned probe left behind, at any earlier time; if it was this probe's own, no other dial
    /// was made since then.
    fn dialled(&self, number: u64, now: Instant) -> Instant {
        let failed = self.probe.filter(|it| it.number == number);
        failed.and_then(|it| it.abandoned).unwrap_or(now)
    }

    /// The input for the next wait: how many dials have failed, the last wait, and the age of the
    /// outage.
    pub(crate) fn backoff(&self, now: Instant) -> (u32, Duration, Duration) {
        self.outage.map_or_else(Default::default, |it| {
            let age = now.saturating_duration_since(it.since);
            (it.dials, it.previous, age)
        })
    }

    /// Makes the next probe due now; whether there was a wait to end.
    pub(crate) fn reset_backoff(&mut self, now: Instant) -> bool {
        let waits = matches!(self.phase, Inferred::Failing | Inferred::Paused);
        if waits {
            self.outage = self.outage.map(|it| it.reset(now));
            self.followed = 0;
        }
        waits
    }

    /// Whether a probe is under way, so that a result will come.
    pub(crate) fn is_tested(&self) -> bool {
        self.probe.is_some()
    }

    pub(crate) fn state(&self) -> ConnectivityState {
        match (self.phase, &self.probe) {
            // Sticky until the channel is ready (gRFC A62), even if a connection was made and lost
            // meanwhile.
            (Inferred::Unproven, _) if self.outage.is_some() => ConnectivityState::TransientFailure,
            (Inferred::Unproven | Inferred::Paused, None) => ConnectivityState::Idle,
            (Inferred::Unproven | Inferred::Paused, Some(_)) => ConnectivityState::Connecting,
            (Inferred::Ready | Inferred::Opened(_), _) => ConnectivityState::Ready,
            (Inferred::Failing, _) => ConnectivityState::TransientFailure,
            (Inferred::Shutdown, _) => ConnectivityState::Shutdown,
        }
    }

    /// The current outage: its start, its failed dials and the next dial.
    pub(crate) fn failing(&self) -> Option<&Outage> {
        let is_failing = self.state() == ConnectivityState::TransientFailure;
        self.outage.as_ref().filter(|_| is_failing)
    }

    pub(crate) fn keep(&mut self, error: &mut Arc<Error>) {
        let kept = self.last_error.get_or_insert_with(|| Arc::clone(error));
        mem::swap(kept, error);
    }
}

#[cfg(all(test, not(grpc_resilience_loom)))]
#[path = "channel_tests.rs"]
mod tests;
