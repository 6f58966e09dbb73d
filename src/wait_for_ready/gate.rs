use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use crate::call::SharedError;
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
    /// Counts the times the gate closed: a probe of an earlier time has no say.
    epoch: u64,
    closed: Option<Closed>,
}

#[derive(Debug)]
struct Closed {
    next_dial: Instant,
    probing: bool,
    dials: u32,
    previous: Duration,
    last_error: Error,
}

/// What the gate says to a call.
pub(super) enum Entry {
    /// Go.
    Open,
    /// Go, and test the channel for all, which last failed so.
    Probe(Probe, Error),
    /// Wait until something changes, or until this instant if no test is under way.
    Closed(Option<Instant>, Error),
}

/// The right to test the channel; whoever drops it undecided passes it on.
#[derive(Debug)]
pub(super) struct Probe {
    epoch: u64,
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
        let epoch = state.epoch;
        let Some(closed) = &mut state.closed else {
            return Entry::Open;
        };
        let last_error = closed.last_error.clone();
        if !closed.probing && Instant::now() >= closed.next_dial {
            closed.probing = true;
            let gate = Arc::clone(self);
            return Entry::Probe(Probe { epoch, gate }, last_error);
        }
        let next_dial = (!closed.probing).then_some(closed.next_dial);
        Entry::Closed(next_dial, last_error)
    }

    pub(super) fn is_closed(&self) -> bool {
        !self.untroubled.load(Ordering::Acquire) && self.state.lock().closed.is_some()
    }

    /// The channel took a request: it is ready.
    pub(super) fn opened(&self) {
        if self.untroubled.load(Ordering::Acquire) {
            return;
        }
        let was_closed = {
            let mut state = self.state.lock();
            state.failures = 0;
            self.untroubled.store(true, Ordering::Release);
            state.closed.take().is_some()
        };
        if was_closed {
            tracing::debug!("the channel is ready again");
            self.changed.notify_waiters();
        }
    }

    /// No connection could be made; `probe` if this was the test.
    pub(super) fn failed(&self, error: &Error, probe: Option<Probe>) {
        {
            let mut state = self.state.lock();
            let epoch = state.epoch;
            let is_probe = probe.as_ref().is_some_and(|probe| probe.epoch == epoch);
            self.untroubled.store(false, Ordering::Release);
            state.failures = state.failures.saturating_add(1);
            let failures = state.failures;
            match &mut state.closed {
                Some(closed) if is_probe => self.leave_alone(closed, error),
                None if self.policy.is_down(failures) => {
                    let mut closed = Closed::at(Instant::now(), error);
                    self.leave_alone(&mut closed, error);
                    tracing::debug!(%error, "the channel is not ready");
                    state.epoch += 1;
                    state.closed = Some(closed);
                }
                // Sent before the gate closed, it says nothing new; or one of several endpoints.
                Some(_) | None => {}
            }
        }
        // Waking the others is the dropped probe's doing; it finds the gate no longer probing.
        drop(probe);
    }

    fn leave_alone(&self, closed: &mut Closed, error: &Error) {
        closed.dials = closed.dials.saturating_add(1);
        let unit = self.rng.unit();
        let wait = self.policy.next_dial(closed.dials, closed.previous, unit);
        closed.previous = wait;
        let now = Instant::now();
        closed.next_dial = now.checked_add(wait).unwrap_or(now);
        closed.last_error = error.clone();
    }
}

impl Closed {
    fn at(now: Instant, error: &Error) -> Self {
        Self {
            next_dial: now,
            probing: false,
            dials: 0,
            previous: Duration::ZERO,
            last_error: error.clone(),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        {
            let mut state = self.gate.state.lock();
            if state.epoch != self.epoch {
                return;
            }
            if let Some(closed) = &mut state.closed {
                closed.probing = false;
            }
        }
        self.gate.changed.notify_waiters();
    }
}

/// The error as a trace keeps it.
pub(super) fn shared(error: &Error) -> SharedError {
    Arc::new(error.clone())
}
