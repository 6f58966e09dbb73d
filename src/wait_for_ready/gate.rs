use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use crate::error::Error;
use crate::rng::Rng;
use crate::sync::Mutex;

use super::WaitForReadyPolicy;

/// What the clones of a channel know of its readiness.
///
/// Open, calls go. Closed, one call at a time may test the channel, when the backoff says so; all
/// others wait for its result.
#[derive(Debug)]
pub(super) struct Gate {
    policy: WaitForReadyPolicy,
    rng: Rng,
    /// Says without the lock that nothing is wrong.
    untroubled: AtomicBool,
    state: Mutex<State>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Numbers the probes: an earlier one has no say.
    probes: u64,
    closed: Option<Closed>,
}

#[derive(Debug)]
struct Closed {
    next_dial: Instant,
    probing: Option<Lease>,
    dials: u32,
    previous: Duration,
    last_error: Arc<Error>,
}

/// The test under way; after a while another call may take it over, for whoever holds it may have
/// stopped polling it.
#[derive(Clone, Copy, Debug)]
struct Lease {
    probe: u64,
    until: Instant,
}

/// gRPC's minimum connect timeout (CONTRACT W5): no dial is given up sooner.
const LEASE: Duration = Duration::from_secs(20);

/// A wait too long for an [`Instant`].
const FAR: Duration = Duration::from_secs(365 * 86_400);

/// What the gate says to a call.
pub(super) enum Entry {
    /// Go.
    Open,
    /// Go, and test the channel for all, which last failed so.
    Probe(Probe, Arc<Error>),
    /// Wait until something changes, or until this instant.
    Closed(Instant, Arc<Error>),
}

/// The right to test the channel; whoever drops it undecided passes it on.
#[derive(Debug)]
pub(super) struct Probe {
    number: u64,
    gate: Arc<Gate>,
}

impl Gate {
    pub(super) fn new(policy: WaitForReadyPolicy, rng: Rng) -> Self {
        Self {
            policy,
            rng,
            untroubled: AtomicBool::new(true),
            state: Mutex::default(),
            changed: Arc::default(),
        }
    }

    pub(super) fn policy(&self) -> &WaitForReadyPolicy {
        &self.policy
    }

    /// Wakes at the next change; made before the gate is asked, it misses none.
    pub(super) fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.changed).notified_owned()
    }

    /// Asks to go.
    pub(super) fn enter(self: &Arc<Self>) -> Entry {
        if self.untroubled.load(Ordering::Acquire) {
            return Entry::Open;
        }
        let mut state = self.state.lock();
        let number = state.probes + 1;
        let Some(closed) = &mut state.closed else {
            return Entry::Open;
        };
        let last_error = Arc::clone(&closed.last_error);
        let due = closed.probing.map_or(closed.next_dial, |lease| lease.until);
        let now = Instant::now();
        if now < due {
            return Entry::Closed(due, last_error);
        }
        closed.probing = Some(Lease {
            probe: number,
            until: after(now, LEASE),
        });
        state.probes = number;
        let gate = Arc::clone(self);
        Entry::Probe(Probe { number, gate }, last_error)
    }

    /// Whether this test has no result yet.
    pub(super) fn is_tested_by(&self, probe: &Probe) -> bool {
        let state = self.state.lock();
        let closed = state.closed.as_ref();
        closed.is_some_and(|closed| closed.is_tested_by(Some(probe)))
    }

    /// The channel took a request: it is ready.
    pub(super) fn opened(&self) {
        if self.untroubled.load(Ordering::Acquire) {
            return;
        }
        let closed = {
            let mut state = self.state.lock();
            state.failures = 0;
            self.untroubled.store(true, Ordering::Release);
            state.closed.take()
        };
        if closed.is_some() {
            tracing::debug!("the channel is ready again");
            self.changed.notify_waiters();
        }
    }

    /// No connection could be made; `probe` if this was the test.
    pub(super) fn failed(&self, error: &Error, probe: Option<Probe>) {
        // Other calls are told of it, and their reports are others.
        let error = Arc::new(error.clone().unreported());
        let before = self.note_failure(error, probe.as_ref());
        // Without the lock: what an error holds may ask for anything when it is dropped.
        drop(before);
        // Waking the others is the dropped probe's doing; it finds the gate no longer probing.
        drop(probe);
    }

    /// Gives back the failure that was noted before.
    fn note_failure(&self, error: Arc<Error>, probe: Option<&Probe>) -> Option<Arc<Error>> {
        let mut state = self.state.lock();
        let tested = state.closed.as_ref();
        let is_stale = !tested.is_some_and(|closed| closed.is_tested_by(probe));
        if probe.is_some() && is_stale {
            // Another took the test over; what this one says is old.
            return None;
        }
        self.untroubled.store(false, Ordering::Release);
        state.failures = state.failures.saturating_add(1);
        let failures = state.failures;
        match &mut state.closed {
            Some(closed) if closed.is_tested_by(probe) => {
                self.leave_alone(closed);
                Some(std::mem::replace(&mut closed.last_error, error))
            }
            None if self.policy.is_down(failures) => {
                tracing::debug!(%error, "the channel is not ready");
                let mut closed = Closed::at(Instant::now(), error);
                self.leave_alone(&mut closed);
                state.closed = Some(closed);
                None
            }
            // Sent before the gate closed, it says nothing new; or one of several endpoints.
            Some(_) | None => None,
        }
    }

    fn leave_alone(&self, closed: &mut Closed) {
        closed.dials = closed.dials.saturating_add(1);
        let unit = self.rng.unit();
        let wait = self.policy.next_dial(closed.dials, closed.previous, unit);
        closed.previous = wait;
        closed.next_dial = after(Instant::now(), wait);
    }
}

impl Closed {
    fn at(now: Instant, last_error: Arc<Error>) -> Self {
        Self {
            next_dial: now,
            probing: None,
            dials: 0,
            previous: Duration::ZERO,
            last_error,
        }
    }

    fn is_tested_by(&self, probe: Option<&Probe>) -> bool {
        let lease = self.probing.map(|lease| lease.probe);
        lease.is_some() && lease == probe.map(|probe| probe.number)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        {
            let mut state = self.gate.state.lock();
            match &mut state.closed {
                Some(closed) if closed.is_tested_by(Some(self)) => closed.probing = None,
                // Another has taken it over, or the gate is open.
                _ => return,
            }
        }
        self.gate.changed.notify_waiters();
    }
}

fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait)
        .or_else(|| now.checked_add(FAR))
        .unwrap_or(now)
}
