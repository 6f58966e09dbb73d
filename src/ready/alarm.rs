use std::fmt;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::kernel::sync::{AtomicBool, Mutex, Ordering};
use crate::kernel::timer::{Home, Timer};

/// One timer for all waiting calls. It wakes the waker that it was set with, spawns no task, and
/// ends with its owner.
#[derive(Default)]
pub(crate) struct Alarm {
    set: Mutex<Option<Set>>,
    /// Whether it has expired since it was set.
    rang: AtomicBool,
}

struct Set {
    at: Instant,
    /// Only dropped, never polled again.
    _timer: Timer,
}

impl Alarm {
    /// Sets the alarm to this instant, replacing any other, with a timer of `home`. Returns whether
    /// the instant has passed already; then it does not ring.
    pub(crate) fn set(&self, at: Instant, home: &Home, bell: impl FnOnce() -> Waker) -> bool {
        if cfg!(grpc_resilience_loom) {
            return false;
        }
        let has_rung = self.rang.swap(false, Ordering::AcqRel);
        if !has_rung && self.set.lock().as_ref().is_some_and(|set| set.at == at) {
            return false;
        }
        let mut timer = home.timer(at);
        // Outside the lock: if it rings at once, the next caller sets it again.
        let bell = bell();
        let mut context = Context::from_waker(&bell);
        let passed = timer.poll(&mut context) == Poll::Ready(Ok(()));
        let before = self.set.lock().replace(Set { at, _timer: timer });
        drop(before);
        passed
    }

    /// Marks the alarm as expired.
    pub(crate) fn rang(&self) {
        self.rang.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}
