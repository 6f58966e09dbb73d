use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

use super::{ConnectivityState, WaitForReadyPolicy};

/// What calls have shown of a channel: a pure state machine, the time is passed in.
#[derive(Debug, Default)]
pub(super) struct Channel {
    phase: Phase,
    /// Failed connects in a row.
    failures: u32,
    /// Numbers the tests: an earlier one has no say.
    tests: u64,
    test: Option<Test>,
    /// The last one that showed it ready; those of before it have no say any more.
    shown_by: u64,
    /// When a test was abandoned without a result, and none was begun since.
    abandoned: Option<Instant>,
    last_error: Option<Arc<Error>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    /// Nothing was shown yet, or since the last connection was lost: one call shows it.
    #[default]
    Unproven,
    /// A test opened a stream, and nobody has answered yet: a proxy without a server does as much. What
    /// failed before is not forgotten.
    Opened {
        at: Instant,
        before: Failing,
    },
    Ready,
    Failing(Failing),
    /// It can never be ready again.
    Shutdown,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Instant,
    next_dial: Instant,
    dials: u32,
    previous: Duration,
}

/// The test under way; after a while another call may take it over, for whoever made it may have
/// stopped polling it.
#[derive(Clone, Copy, Debug)]
struct Test {
    number: u64,
    until: Instant,
    /// When the one before it was abandoned: that dial went on, and its error may have been
    /// kept for this one.
    abandoned: Option<Instant>,
}

/// gRPC's minimum connect timeout (CONTRACT W5): no dial is given up sooner.
const LEASE: Duration = Duration::from_secs(20);

/// A wait too long for an [`Instant`].
const FAR: Duration = Duration::from_secs(365 * 86_400);

/// What a call finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Finding {
    Ready,
    Shutdown,
    /// One call is to test it now.
    Due,
    /// It is not to be tested before this.
    NotBefore(Instant),
}

/// What a failed connect changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// When the next test is due.
    Schedule,
    /// The phase.
    Phase,
}

impl Channel {
    pub(super) fn find(&self, now: Instant) -> Finding {
        let due = match (&self.phase, self.test) {
            (Phase::Ready | Phase::Opened { .. }, _) => return Finding::Ready,
            (Phase::Shutdown, _) => return Finding::Shutdown,
            (_, Some(test)) => test.until,
            (Phase::Unproven, None) => return Finding::Due,
            (Phase::Failing(failing), None) => failing.next_dial,
        };
        if now < due {
            Finding::NotBefore(due)
        } else {
            Finding::Due
        }
    }

    /// A call tests it from now on; the number of its test.
    pub(super) fn begin_test(&mut self, now: Instant) -> u64 {
        self.tests += 1;
        let until = after(now, LEASE);
        let number = self.tests;
        let abandoned = self.abandoned.take();
        self.test = Some(Test {
            number,
            until,
            abandoned,
        });
        number
    }

    /// The test is over without a result; whether it was the one under way.
    pub(super) fn end_test(&mut self, number: u64, now: Instant) -> bool {
        let ended = self.is_tested_by(number);
        if ended {
            self.test = None;
            self.abandoned = Some(now);
        }
        ended
    }

    pub(super) fn is_tested_by(&self, number: u64) -> bool {
        self.test.is_some_and(|test| test.number == number)
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Opened { .. })
    }

    pub(super) fn is_shut_down(&self) -> bool {
        matches!(self.phase, Phase::Shutdown)
    }

    /// Whether a call that does not wait fails at once (CONTRACT W1).
    pub(super) fn is_failing(&self) -> bool {
        matches!(self.phase, Phase::Failing(_))
    }

    pub(super) fn last_error(&self) -> Option<&Arc<Error>> {
        self.last_error.as_ref()
    }

    /// Whether what is known of the channel is this test's doing.
    pub(super) fn is_shown_by(&self, number: u64) -> bool {
        self.is_tested_by(number) || self.is_ready() && self.shown_by == number
    }

    /// Whether a success of this test says anything of the channel as it is now.
    pub(super) fn can_be_shown_by(&self, number: u64) -> bool {
        number > self.shown_by
    }

    /// It took a request, that of a test if it was one. Gives back the error that is of no interest
    /// any more.
    pub(super) fn opened(&mut self, test: Option<u64>, now: Instant) -> Option<Arc<Error>> {
        let before = match self.phase {
            Phase::Failing(failing) => failing,
            _ => Failing::since(now),
        };
        self.phase = Phase::Opened { at: now, before };
        self.shown_by = test.unwrap_or(self.tests);
        self.failures = 0;
        self.test = None;
        self.abandoned = None;
        self.last_error.take()
    }

    /// An answer came while it was ready: what failed before does not count.
    pub(super) fn answered(&mut self) {
        self.phase = Phase::Ready;
        self.failures = 0;
    }

    /// It can never be ready again. Gives back the error of before.
    pub(super) fn shut_down(&mut self, error: Arc<Error>) -> Option<Arc<Error>> {
        self.phase = Phase::Shutdown;
        self.test = None;
        self.last_error.replace(error)
    }

    /// The connection of a current call is gone, or that of this test; whether that changes anything.
    pub(super) fn lost(&mut self, test: Option<u64>, wait: Duration, now: Instant) -> Change {
        let tested = test.is_some_and(|number| self.is_tested_by(number));
        self.phase = match self.phase {
            // One that lived and answered: there may well be another.
            Phase::Ready => Phase::Unproven,
            Phase::Opened { at, before } => Phase::Failing(before.left_alone(wait, at)),
            Phase::Unproven if tested => Phase::Failing(Failing::since(now).left_alone(wait, now)),
            Phase::Failing(failing) if tested => Phase::Failing(failing.left_alone(wait, now)),
            Phase::Unproven | Phase::Failing(_) | Phase::Shutdown => return Change::None,
        };
        self.test = None;
        Change::Phase
    }

    /// No connection could be made; `test` is the number of the test that this was. Swaps the error
    /// for the one that is of no interest any more.
    pub(super) fn failed(
        &mut self,
        test: Option<u64>,
        error: &mut Arc<Error>,
        policy: &WaitForReadyPolicy,
        wait: Duration,
        now: Instant,
    ) -> Change {
        let failing = match (self.phase, test) {
            // One of before the last success.
            (_, Some(number)) if !self.is_shown_by(number) && !self.can_be_shown_by(number) => {
                return Change::None;
            }
            (Phase::Unproven, Some(_)) => Failing::since(now),
            (Phase::Failing(failing), Some(_)) => failing,
            (Phase::Unproven | Phase::Failing(_), None) => return Change::None,
            // A layer below had read the request, which is no stream.
            (Phase::Opened { before, .. }, _) if policy.is_single() => before,
            (Phase::Ready | Phase::Opened { .. } | Phase::Shutdown, _) => {
                self.failures = self.failures.saturating_add(1);
                if !policy.is_down(self.failures) {
                    return Change::None;
                }
                if policy.is_single() {
                    self.keep(error);
                    self.phase = Phase::Unproven;
                    self.test = None;
                    return Change::Phase;
                }
                Failing::since(now)
            }
        };
        let phase = Phase::Failing(failing.left_alone(wait, self.dialled(test, now)));
        let before = mem::replace(&mut self.phase, phase);
        // Another may be under way, where this one was taken over.
        self.test = self.test.filter(|other| Some(other.number) != test);
        self.keep(error);
        match before {
            Phase::Failing(_) => Change::Schedule,
            _ => Change::Phase,
        }
    }

    /// From when on the channel is left alone after this test failed. What failed may be the dial that
    /// another abandoned, however long ago; if it was its own, no other was made since then.
    fn dialled(&self, test: Option<u64>, now: Instant) -> Instant {
        let failed = self.test.filter(|it| Some(it.number) == test);
        failed.and_then(|it| it.abandoned).unwrap_or(now)
    }

    /// Whether the test under way had all the time that a dial gets (CONTRACT W5).
    pub(super) fn has_overdue_test(&self, now: Instant) -> bool {
        self.test.is_some_and(|test| now >= test.until)
    }

    /// That counts as a failed dial, though its call may still succeed.
    pub(super) fn give_up_test(&mut self, wait: Duration, now: Instant) {
        let failing = match self.phase {
            Phase::Failing(failing) => failing,
            _ => Failing::since(now),
        };
        self.phase = Phase::Failing(failing.left_alone(wait, now));
        self.test = None;
    }

    /// How many dials have failed, and how long the last wait was: what the next wait depends on.
    pub(super) fn backoff(&self) -> (u32, Duration) {
        match self.phase {
            Phase::Failing(failing)
            | Phase::Opened {
                before: failing, ..
            } => (failing.dials, failing.previous),
            _ => (0, Duration::ZERO),
        }
    }

    /// The next test is due now; whether there was one to wait for.
    pub(super) fn reset_backoff(&mut self, now: Instant) -> bool {
        let Phase::Failing(failing) = &mut self.phase else {
            return false;
        };
        *failing = Failing {
            since: failing.since,
            ..Failing::since(now)
        };
        true
    }

    pub(super) fn state(&self) -> ConnectivityState {
        match (&self.phase, self.test) {
            (Phase::Unproven, None) => ConnectivityState::Idle,
            (Phase::Unproven, Some(_)) => ConnectivityState::Connecting,
            (Phase::Ready | Phase::Opened { .. }, _) => ConnectivityState::Ready,
            (Phase::Failing(_), _) => ConnectivityState::TransientFailure,
            (Phase::Shutdown, _) => ConnectivityState::Shutdown,
        }
    }

    /// Since when connects fail, how often they did since, and when the next one goes.
    pub(super) fn failing(&self) -> Option<(Instant, u32, Instant)> {
        match &self.phase {
            Phase::Failing(failing) => Some((failing.since, failing.dials, failing.next_dial)),
            _ => None,
        }
    }

    fn keep(&mut self, error: &mut Arc<Error>) {
        let kept = self.last_error.get_or_insert_with(|| Arc::clone(error));
        mem::swap(kept, error);
    }
}

impl Failing {
    fn since(now: Instant) -> Self {
        Self {
            since: now,
            next_dial: now,
            dials: 0,
            previous: Duration::ZERO,
        }
    }

    /// After one more failed dial, for so long from then on.
    fn left_alone(self, wait: Duration, from: Instant) -> Self {
        Self {
            dials: self.dials.saturating_add(1),
            previous: wait,
            next_dial: after(from, wait),
            ..self
        }
    }
}

fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait)
        .or_else(|| now.checked_add(FAR))
        .unwrap_or(now)
}
