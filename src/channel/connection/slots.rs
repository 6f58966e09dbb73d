use std::sync::atomic::{AtomicU32, Ordering};

/// The streams of a connection, counted above h2, so that h2 never holds a stream that the peer has
/// no room for and dropping a call that waits sends nothing (CONTRACT C7, C10).
#[derive(Debug)]
pub(crate) struct Slots {
    in_use: AtomicU32,
    limit: AtomicU32,
    /// Cancelled calls among them, which the peer counts until their reset is written.
    cancelled: AtomicU32,
}

impl Slots {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            in_use: AtomicU32::new(0),
            limit: AtomicU32::new(limit),
            cancelled: AtomicU32::new(0),
        }
    }

    pub(crate) fn in_use(&self) -> u32 {
        self.in_use.load(Ordering::Acquire)
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Acquire)
    }

    /// How many are free.
    pub(crate) fn free(&self) -> u32 {
        self.limit().saturating_sub(self.in_use())
    }

    /// Sets the limit; whether there are more slots than before.
    pub(super) fn set_limit(&self, limit: u32) -> bool {
        self.limit.swap(limit, Ordering::AcqRel) < limit
    }

    /// Takes a slot, if fewer than `below` are in use and the limit allows it.
    #[inline]
    pub(crate) fn take(&self, below: u32) -> bool {
        let limit = self.limit().min(below);
        let mut in_use = self.in_use.load(Ordering::Relaxed);
        while in_use < limit {
            let taken = self.in_use.compare_exchange_weak(
                in_use,
                in_use + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            match taken {
                Ok(_) => return true,
                Err(now) => in_use = now,
            }
        }
        false
    }

    /// A stream is over in h2 too.
    #[inline]
    pub(super) fn free_one(&self) {
        self.in_use.fetch_sub(1, Ordering::AcqRel);
    }

    /// A call was dropped, whose stream h2 has yet to reset.
    pub(super) fn cancel_one(&self) {
        self.cancelled.fetch_add(1, Ordering::AcqRel);
    }

    /// How many calls were cancelled, for [`reset`](Self::reset).
    #[inline]
    pub(super) fn cancelled(&self) -> u32 {
        self.cancelled.load(Ordering::Acquire)
    }

    /// h2 has written the resets of this number of cancelled calls.
    #[cold]
    pub(super) fn reset(&self, cancelled: u32) {
        self.cancelled.fetch_sub(cancelled, Ordering::AcqRel);
        self.in_use.fetch_sub(cancelled, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT C7
    #[test]
    fn no_more_are_taken_than_the_limit_allows() {
        let slots = Slots::new(2);
        assert!(slots.take(u32::MAX) && slots.take(u32::MAX));
        assert!(!slots.take(u32::MAX));
        assert!(!slots.set_limit(1), "a lower one makes no room");
        slots.free_one();
        assert!(!slots.take(u32::MAX), "the limit was lowered");
        slots.free_one();
        assert!(slots.take(u32::MAX));
        assert!(slots.set_limit(3));
        assert!(!slots.set_limit(3), "there are no more than before");
        assert_eq!((slots.in_use(), slots.limit(), slots.free()), (1, 3, 2));
        assert!(!slots.take(1), "one is in use");
    }

    // CONTRACT C7
    #[test]
    fn a_cancelled_call_keeps_its_slot_until_its_reset() {
        let slots = Slots::new(1);
        assert!(slots.take(u32::MAX));
        slots.cancel_one();
        assert!(!slots.take(u32::MAX));
        slots.reset(slots.cancelled());
        assert!(slots.take(u32::MAX));
        assert_eq!(slots.cancelled(), 0);
    }

    // CONTRACT C7
    #[test]
    fn threads_never_hold_more_than_the_limit() {
        let slots = Slots::new(3);
        let most = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        if slots.take(u32::MAX) {
                            most.fetch_max(slots.in_use(), Ordering::Relaxed);
                            slots.free_one();
                        }
                    }
                });
            }
        });
        assert!(most.load(Ordering::Relaxed) <= 3);
        assert_eq!(slots.in_use(), 0);
    }
}
