use std::fmt;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::kernel::sync::{AtomicBool, Mutex, Ordering};
use crate::kernel::timer::{Home, Timer};

/// One timer for all waiting calls: it wakes no task, but whatever it was set with. Nothing is
/// spawned for it, and it ends with its owner.
#[derive(Default)]
pub(crate) struct Alarm {
    set: Mutex<Option<Set>>,
    /// It went off since it was set.
    rang: AtomicBool,
}

struct Set {
    at: Instant,
    /// Dropped with it, never polled again.
    _timer: Timer,
}

impl Alarm {
    /// Goes off at this instant, instead of any other, by a timer of this home.
    /// Whether the instant has passed, in which case it does not go off.
    pub(crate) fn set(&self, at: Instant, home: &Home, bell: impl FnOnce() -> Waker) -> bool {
        if cfg!(grpc_resilience_loom) {
            return false;
        }
        let has_rung = self.rang.swap(false, Ordering::AcqRel);
        if !has_rung && self.set.lock().as_ref().is_some_and(|set| set.at == at) {
            return false;
        }
        let mut timer = home.timer(at);
        // Without the lock: polled out of turn, it rings at once, and the next caller sets it
        // anew.
        let bell = bell();
        let mut context = Context::from_waker(&bell);
        let passed = timer.poll(&mut context) == Poll::Ready(Ok(()));
        let before = self.set.lock().replace(Set { at, _timer: timer });
        drop(before);
        passed
    }

    /// It went off.
    pub(crate) fn rang(&self) {
        self.rang.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}
