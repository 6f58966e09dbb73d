use std::sync::Arc;

use tokio::runtime::Handle;

use crate::ready::{Bounds, SlotQueue, Waiter};

/// The calls that wait for a connection or a slot.
///
/// Those that any endpoint can serve stand in one line. A call that names its endpoint does not
/// stand in their way: it waits beside the line, and looks whenever something is free.
pub(crate) struct Lines {
    any: Arc<SlotQueue>,
    pinned: Arc<SlotQueue>,
    bounds: Bounds,
}

impl Lines {
    pub(crate) fn new(bounds: Bounds, runtime: &Handle) -> Self {
        let queue = || Arc::new(SlotQueue::new(bounds, runtime.clone()));
        Self {
            any: queue(),
            pinned: queue(),
            bounds,
        }
    }

    /// How many calls wait.
    pub(crate) fn calls(&self) -> usize {
        self.any.calls() + self.pinned.calls()
    }

    /// The size of their requests, as far as it is known.
    pub(crate) fn bytes(&self) -> usize {
        self.any.bytes() + self.pinned.bytes()
    }

    /// This number of slots is free.
    #[inline]
    pub(crate) fn free(&self, slots: u32) {
        self.any.free(slots);
        if !self.pinned.is_empty() {
            self.pinned.wake_all();
        }
    }

    /// The state of the channel has changed.
    pub(crate) fn wake_all(&self) {
        self.any.wake_all();
        self.pinned.wake_all();
    }

    /// How many calls were woken and look for a slot.
    #[inline]
    pub(crate) fn woken(&self) -> u32 {
        self.any.woken()
    }

    /// Whether a new call may look for a slot without waiting behind others.
    #[inline]
    pub(crate) fn is_free(&self, is_pinned: bool) -> bool {
        is_pinned || self.any.is_empty()
    }

    /// Whether this call is the only one in its line.
    pub(crate) fn is_alone(&self, is_pinned: bool) -> bool {
        is_pinned || self.any.calls() == 1
    }

    /// A place at the end of the line, or beside it, for a request of this size; `None` if too many
    /// calls or bytes wait already.
    pub(crate) fn enter(&self, is_pinned: bool, bytes: usize) -> Option<Waiter> {
        let Bounds { calls, bytes: most } = self.bounds;
        if self.calls() >= calls || self.bytes().saturating_add(bytes) > most {
            return None;
        }
        if is_pinned { &self.pinned } else { &self.any }.enter(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    fn lines(calls: usize, bytes: usize) -> Lines {
        Lines::new(Bounds { calls, bytes }, &Handle::current())
    }

    fn is_ready(waiter: &Waiter) -> bool {
        waiter.poll(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pinned_call_that_finds_nothing_holds_up_no_other() {
        let lines = lines(10, 0);
        let pinned = lines.enter(true, 0).unwrap();
        let any = || lines.enter(false, 0).unwrap();
        let (first, second) = (any(), any());
        lines.free(1);
        let woken = [&pinned, &first, &second].map(is_ready);
        assert_eq!(woken, [true, true, false]);
        pinned.again();
        first.served();
        lines.free(1);
        assert_eq!([&pinned, &second].map(is_ready), [true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn both_lines_together_hold_no_more_than_may_wait() {
        let lines = lines(2, 10);
        let first = lines.enter(true, 6).unwrap();
        assert!(lines.enter(true, 5).is_none() && lines.enter(false, 5).is_none());
        let _second = lines.enter(false, 4).unwrap();
        assert!(lines.enter(true, 0).is_none() && lines.enter(false, 0).is_none());
        assert_eq!((lines.calls(), lines.bytes()), (2, 10));
        drop(first);
        assert!(lines.enter(false, 6).is_some());
    }
}
