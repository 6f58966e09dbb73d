//! Keeps the probes going while calls wait (CONTRACT W11).

use std::cell::Cell;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use tokio::time::Instant;

use crate::kernel::sync::Mutex;

use super::finding::Finding;
use super::gate_state::{GateState, Probe};
use super::queue::UNWATCHED;

impl GateState {
    /// Wakes all waiting calls if the first ones in the queue missed the next probe.
    pub(crate) fn keep_watch(self: &Arc<Self>, now: Instant) {
        let due = self.read(|shared| match shared.channel.find(now) {
            Finding::NotBefore(due) if shared.queue.len() > 0 => due.checked_add(UNWATCHED),
            _ => None,
        });
        let bell = || Waker::from(Arc::new(Bell(Arc::downgrade(self))));
        if due.is_some_and(|at| self.alarm.set(at, &self.home, bell)) {
            self.ring();
        }
    }

    fn ring(&self) {
        self.alarm.rang();
        let wake = {
            let mut shared = self.shared.lock();
            if shared.channel.is_ready() || shared.channel.is_shut_down() {
                return;
            }
            shared.queue.all_watching()
        };
        wake.into_iter().for_each(Waker::wake);
    }

    /// Records that the owner of this probe polls it. Called before the poll: a wake-up from the
    /// dial during the poll asks for the next one.
    pub(crate) fn polled(self: &Arc<Self>, probe: &Probe) {
        let tests = self.shared.lock().channel.polled(probe.number);
        if tests {
            self.keep_watch(Instant::now());
        }
    }

    /// Whether the probe's call is being polled, or handed on, further up on this thread.
    pub(crate) fn is_polled_here(&self, probe: u64) -> bool {
        POLLED.get() == (self.address(), probe)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn woke(&self, probe: u64) {
        let now = Instant::now();
        self.shared.lock().channel.woke(probe, now);
    }
}

thread_local! {
    /// The gate and the number of the probe whose call is being polled on this thread.
    static POLLED: Cell<(usize, u64)> = const { Cell::new((0, 0)) };
}

/// Alive while the call of a probe is polled or handed on. A reader of its request on this thread
/// is then a layer below rather than the transport, and proves no open stream.
pub(crate) struct Polled {
    before: (usize, u64),
}

impl Polled {
    pub(crate) fn now(probe: &Probe) -> Self {
        let polled = (probe.gate().address(), probe.number);
        Self {
            before: POLLED.replace(polled),
        }
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        POLLED.set(self.before);
    }
}

/// The waker of the alarm.
struct Bell(Weak<GateState>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(gate) = self.0.upgrade() {
            gate.ring();
        }
    }
}

/// The waker of a probe. It records each wake-up from the dial, so that an owner which does not
/// poll afterwards is detected.
pub(crate) struct Heard {
    gate: Arc<GateState>,
    probe: u64,
    owner: Mutex<Waker>,
}

impl Heard {
    /// Creates a waker that also wakes `owner`.
    pub(crate) fn new(probe: &Probe, owner: &Waker) -> Arc<Self> {
        Arc::new(Self {
            gate: probe.gate(),
            probe: probe.number,
            owner: Mutex::new(owner.clone()),
        })
    }

    pub(crate) fn is_of(&self, probe: &Probe) -> bool {
        self.probe == probe.number
    }

    /// Sets the waker with which the owner polls from now on.
    pub(crate) fn owned_by(&self, owner: &Waker) {
        let mut known = self.owner.lock();
        if !known.will_wake(owner) {
            let before = std::mem::replace(&mut *known, owner.clone());
            drop(known);
            // Outside the lock: a waker may run any code on drop.
            drop(before);
        }
    }
}

impl Wake for Heard {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.gate.woke(self.probe);
        let owner = self.owner.lock().clone();
        owner.wake();
    }
}
