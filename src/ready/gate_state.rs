use std::num::NonZero;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::call::WaitMode;
use crate::error::Error;
use crate::kernel::sync::{AtomicBool, AtomicU64, Mutex, Ordering};
use crate::kernel::timer::Home;

use super::WaitForReadyPolicy;
use super::alarm::Alarm;
use super::channel::Channel;
use super::finding::Finding;
use super::line::Number;
use super::log::Log;
use super::outage::after;
use super::queue::Queue;
use super::settings::Settings;

/// The readiness of a channel and its waiting calls, shared by the clones of the channel.
///
/// While the channel is ready, calls go. Otherwise one call at a time probes it when the backoff
/// allows; all others wait for the result.
#[derive(Debug)]
pub(crate) struct GateState {
    /// The generation of calls that go while the channel is ready, else 0. Read without the lock.
    generation: AtomicU64,
    /// Whether an answer would change the state. Read without the lock.
    pub(crate) listens: AtomicBool,
    /// The channel below answers for its own readiness, and waits itself.
    leaves_wait: AtomicBool,
    pub(crate) shared: Mutex<Shared>,
    /// For watchers of the state. Calls have their own wakers, which wake them in order.
    pub(crate) changed: Notify,
    pub(crate) alarm: Alarm,
    /// Where timers come from.
    pub(crate) home: Home,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) channel: Channel,
    pub(crate) queue: Queue,
    pub(crate) log: Log,
}

/// After this number of connections in a row that took a call without processing it ..
pub(crate) const OFTEN: u32 = 3;
/// .. the call waits this long for a new connection, on which it goes first, before it uses the
/// current one. A server that ends each connection after a few calls ends this wait earlier.
const FRESH: Duration = Duration::from_millis(100);

/// A call at the gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) wait_mode: WaitMode,
    /// The size of its request while it waits.
    pub(crate) bytes: usize,
    /// How often a connection took it and did not process it.
    pub(crate) returns: u32,
    pub(crate) waker: Option<&'a Waker>,
}

impl Caller<'_> {
    fn waits_for_a_fresh_connection(&self) -> bool {
        self.returns >= OFTEN && self.wait_mode == WaitMode::WaitForReady
    }
}

/// The gate's decision for a call.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Go, in this generation.
    Go(u64),
    /// Go and probe the channel for all calls; with the channel's last error.
    Probe(Probe, Option<Arc<Error>>),
    /// Wait until woken, or until this instant; with the channel's last error.
    Wait(Option<Instant>, Option<Arc<Error>>),
    /// The channel is down and the call does not wait.
    NotReady(Option<Arc<Error>>),
    /// Too many calls wait.
    Full(Option<Arc<Error>>),
    /// The channel is shut down for good.
    Shutdown(Option<Arc<Error>>),
}

impl Default for GateState {
    fn default() -> Self {
        Self {
            generation: AtomicU64::new(0),
            listens: AtomicBool::new(true),
            leaves_wait: AtomicBool::new(false),
            shared: Mutex::default(),
            changed: Notify::new(),
            alarm: Alarm::default(),
            home: Home::default(),
        }
    }
}

impl GateState {
    /// Opens the gate without a probe, for a channel with several endpoints: one connect says
    /// little about the others.
    pub(crate) fn presume_ready(&self) {
        let mut shared = self.shared.lock();
        if shared.channel.shown_by() == 0 {
            let now = Instant::now();
            shared.channel.opened(None, now);
            shared.channel.answered(now);
            self.open(&mut shared);
            self.listens.store(false, Ordering::Release);
        }
    }

    /// Asks to go. `place` is the caller's place in the queue, assigned and released here.
    pub(crate) fn turn(
        self: &Arc<Self>,
        caller: Caller<'_>,
        place: &mut Option<Place>,
        settings: &Settings,
    ) -> Decision {
        let generation = self.generation.load(Ordering::Acquire);
        if generation != 0 && place.is_none() && !caller.waits_for_a_fresh_connection() {
            return Decision::Go(generation);
        }
        let now = Instant::now();
        self.believe_living_test(&settings.policy, now);
        self.give_up_overdue_test(settings, now);
        let turn = self.slow_decision(caller, place, &settings.policy, now);
        // A call that does not wait, too, counts as traffic for `Readiness::ready`.
        if matches!(turn, Decision::Probe(..) | Decision::NotReady(_)) {
            self.changed.notify_waiters();
        }
        if caller.waker.is_some() {
            self.keep_watch(now);
        }
        turn
    }

    fn slow_decision(
        self: &Arc<Self>,
        caller: Caller<'_>,
        place: &mut Option<Place>,
        policy: &WaitForReadyPolicy,
        now: Instant,
    ) -> Decision {
        // Dropped after the lock.
        let (mut _left, mut _lost, mut _waker) = (None, None, None);
        let mut shared = self.shared.lock();
        if place
            .as_ref()
            .is_some_and(|it| !shared.queue.has(it.number))
        {
            // The place was released when the channel became ready while its probe was taken over.
            _lost = place.take();
        }
        let Shared { channel, queue, .. } = &mut *shared;
        let last_error = channel.last_error().cloned();
        match channel.find(now) {
            Finding::Ready => {
                if place.is_none() && caller.waits_for_a_fresh_connection() {
                    *place = self.admit(queue, caller, policy);
                    if let Some(place) = &place {
                        queue.goes_at(place.number, after(now, FRESH));
                    }
                }
                let slot = place.as_ref().and_then(|place| queue.slot(place.number));
                if let (Some(slot), Some(place)) = (slot.filter(|slot| now < *slot), &place) {
                    _waker = queue.wait(place.number, caller.waker);
                    return Decision::Wait(Some(slot), last_error);
                }
                _left = place.take();
                Decision::Go(channel.shown_by())
            }
            Finding::Shutdown if place.is_some() => {
                _left = place.take();
                Decision::Shutdown(last_error)
            }
            Finding::Shutdown => Decision::Go(0),
            Finding::Due => {
                let number = channel.begin_probe(now);
                if caller.wait_mode == WaitMode::WaitForReady && place.is_none() {
                    // If its probe fails, it is the first to wait.
                    *place = self.admit(queue, caller, policy);
                }
                if let Some(place) = place {
                    queue.probes(place.number);
                }
                let gate = Arc::clone(self);
                Decision::Probe(Probe { number, gate }, last_error)
            }
            Finding::NotBefore(_)
                if channel.is_failing() && caller.wait_mode == WaitMode::FailFast =>
            {
                _left = place.take();
                Decision::NotReady(last_error)
            }
            Finding::NotBefore(due) => {
                if place.is_none() {
                    *place = self.admit(queue, caller, policy);
                }
                let Some(place) = place else {
                    return Decision::Full(last_error);
                };
                _waker = queue.wait(place.number, caller.waker);
                Decision::Wait(queue.watch(place.number, due), last_error)
            }
        }
    }

    fn admit(
        self: &Arc<Self>,
        queue: &mut Queue,
        caller: Caller<'_>,
        policy: &WaitForReadyPolicy,
    ) -> Option<Place> {
        let number = queue.admit(caller.bytes, caller.returns, policy.bounds)?;
        let gate = Arc::clone(self);
        Some(Place { number, gate })
    }

    /// Whether this probe is under way without a result.
    pub(crate) fn is_probed_by(&self, probe: &Probe) -> bool {
        self.shared.lock().channel.is_probed_by(probe.number)
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Shared) -> T) -> T {
        read(&self.shared.lock())
    }

    /// The current generation, while calls go without asking.
    #[inline]
    pub(crate) fn generation(&self) -> Option<NonZero<u64>> {
        NonZero::new(self.generation.load(Ordering::Acquire))
    }

    /// The channel below has said that it answers for its own readiness.
    #[cold]
    pub(crate) fn leave_wait(&self) {
        self.leaves_wait.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    #[inline]
    pub(crate) fn leaves_wait(&self) -> bool {
        self.leaves_wait.load(Ordering::Relaxed)
    }

    /// Whether calls go without asking.
    pub(crate) fn is_open(&self) -> bool {
        self.generation().is_some()
    }

    /// Lets calls go from now on.
    pub(crate) fn open(&self, shared: &mut Shared) {
        self.generation
            .store(shared.channel.shown_by(), Ordering::Release);
    }

    /// Makes calls wait from now on.
    pub(crate) fn close(&self, shared: &mut Shared) {
        self.generation.store(0, Ordering::Release);
        self.listens.store(true, Ordering::Release);
        shared.queue.hold();
    }

    /// Wakes calls in order, then the watchers.
    pub(crate) fn wake(&self, wakers: Vec<Waker>) {
        wakers.into_iter().for_each(Waker::wake);
        self.changed.notify_waiters();
    }
}

/// A call's place in the queue, released on drop.
#[derive(Debug)]
pub(crate) struct Place {
    number: Number,
    gate: Arc<GateState>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let (wake, is_last) = {
            let queue = &mut self.gate.shared.lock().queue;
            (queue.leave(self.number), queue.len() == 0)
        };
        wake.into_iter().for_each(Waker::wake);
        if is_last {
            // The dropped call may have been the only one that would probe the channel.
            self.gate.changed.notify_waiters();
        }
    }
}

/// The right to probe the channel. Dropped without a result, it passes to the next call.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) number: u64,
    gate: Arc<GateState>,
}

impl Probe {
    pub(crate) fn gate(&self) -> Arc<GateState> {
        Arc::clone(&self.gate)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let wake = {
            let mut shared = self.gate.shared.lock();
            if !shared.channel.end_probe(self.number, Instant::now()) {
                return;
            }
            shared.queue.watchers()
        };
        self.gate.wake(wake);
    }
}

#[cfg(all(test, grpc_resilience_loom))]
#[path = "loom_tests.rs"]
mod loom_tests;

#[cfg(all(test, not(grpc_resilience_loom)))]
#[path = "gate_state_tests.rs"]
mod tests;
