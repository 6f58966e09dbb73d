use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::runtime::{self, Handle};
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};

/// So many timers a thread keeps for its next calls: those of one that serves as many at once.
const KEPT: usize = 64;

thread_local! {
    static IDLE: RefCell<Idle> = const { RefCell::new(Idle { home: None, timers: Vec::new() }) };
}

/// The timer of one call, made once the call has to wait.
///
/// Timers are used again. To register one and to take it out takes a lock that all threads of a runtime
/// share, twice a call, and nearly no call lives to see its timer go off. So a timer stays registered, and
/// the next call on the thread takes it as it is: it goes off no later than that call ends, and if it goes
/// off earlier it is set anew, which is once for many calls.
#[derive(Default)]
pub(super) struct Timer(Option<Registered>);

/// A timer, and the runtime that it belongs to: no other would let it go off.
struct Registered {
    sleep: Pin<Box<Sleep>>,
    home: runtime::Id,
}

/// What a thread keeps, all of one runtime: nearly every thread only ever knows one.
struct Idle {
    home: Option<runtime::Id>,
    timers: Vec<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Wakes the task at this instant.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let Registered { sleep, .. } = self.0.get_or_insert_with(|| Registered::until(at));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

impl Registered {
    /// One that goes off at this instant or before it.
    fn until(at: Instant) -> Self {
        let home = Handle::current().id();
        let idle = IDLE.try_with(|idle| idle.borrow_mut().take(home));
        let Some(mut sleep) = idle.ok().flatten() else {
            let sleep = Box::pin(sleep_until(at));
            return Self { sleep, home };
        };
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        Self { sleep, home }
    }
}

impl Idle {
    fn take(&mut self, home: runtime::Id) -> Option<Pin<Box<Sleep>>> {
        if self.home != Some(home) {
            self.home = Some(home);
            self.timers = Vec::new();
        }
        self.timers.pop()
    }

    /// Whether there is a place for one of this runtime.
    fn has_room(&self, home: runtime::Id) -> bool {
        self.home == Some(home) && self.timers.len() < KEPT
    }
}

/// It is kept, but for one that has gone off, and so has to be registered again anyway.
impl Drop for Timer {
    fn drop(&mut self) {
        let Some(Registered { mut sleep, home }) = self.0.take() else {
            return;
        };
        // Without budget tokio would not look at the waker.
        if sleep.is_elapsed() || !has_budget_remaining() {
            return;
        }
        // Nothing to do while the thread ends: then it is not kept.
        let _ = IDLE.try_with(|idle| {
            let Ok(mut idle) = idle.try_borrow_mut() else {
                return;
            };
            if idle.has_room(home) {
                // The waker holds the task of the call, which may be over.
                let mut nobody = Context::from_waker(Waker::noop());
                if sleep.as_mut().poll(&mut nobody).is_pending() {
                    idle.timers.push(sleep);
                }
            }
        });
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0.as_ref().map(|timer| timer.sleep.deadline());
        f.debug_tuple("Timer").field(&at).finish()
    }
}
