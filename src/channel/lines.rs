use std::sync::Arc;

use tokio::runtime::Handle;

use super::queue::{Queue, Ticket};

/// The calls that wait for a connection or a slot.
///
/// Those that any endpoint can serve stand in one line. A call that names its endpoint does not
/// stand in their way: it waits beside the line, and looks whenever something is free.
pub(crate) struct Lines {
    any: Arc<Queue>,
    pinned: Arc<Queue>,
    max: usize,
}

impl Lines {
    pub(crate) fn new(max: usize, runtime: &Handle) -> Self {
        let queue = || Arc::new(Queue::new(max, runtime.clone()));
        Self {
            any: queue(),
            pinned: queue(),
            max,
        }
    }

    /// How many calls wait.
    pub(crate) fn calls(&self) -> usize {
        self.any.calls() + self.pinned.calls()
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

    /// A place at the end of the line, or beside it; `None` if too many wait already.
    pub(crate) fn enter(&self, is_pinned: bool) -> Option<Ticket> {
        if self.calls() >= self.max {
            return None;
        }
        if is_pinned { &self.pinned } else { &self.any }.enter()
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    fn is_ready(ticket: &Ticket) -> bool {
        ticket.poll(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pinned_call_that_finds_nothing_stands_in_nobody_s_way() {
        let lines = Lines::new(10, &Handle::current());
        let pinned = lines.enter(true).unwrap();
        let (first, second) = (lines.enter(false).unwrap(), lines.enter(false).unwrap());
        lines.free(1);
        let woken = [&pinned, &first, &second].map(is_ready);
        assert_eq!(woken, [true, true, false]);
        pinned.again_in_turn();
        first.served();
        lines.free(1);
        assert_eq!([&pinned, &second].map(is_ready), [true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn both_lines_together_hold_no_more_than_may_wait() {
        let lines = Lines::new(2, &Handle::current());
        let _waiting = (lines.enter(true).unwrap(), lines.enter(false).unwrap());
        assert!(lines.enter(true).is_none() && lines.enter(false).is_none());
        assert_eq!(lines.calls(), 2);
    }
}
