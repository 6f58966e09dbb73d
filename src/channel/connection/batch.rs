//! How many requests leave in one write.

use std::sync::atomic::{AtomicU32, Ordering};

/// The requests that were queued since the connection was last polled.
///
/// With many calls in flight, a write of one request costs more than all else in a call, and a
/// write of all of them lets the server wait for the slowest caller.
#[derive(Debug, Default)]
pub(super) struct Batch {
    queued: AtomicU32,
    /// Calls that were answered, and whose callers are likely to call again in a moment.
    expected: AtomicU32,
}

/// A caller flushes when half of the calls in flight are queued, within these bounds.
const LEAST: u32 = 4;
const MOST: u32 = 64;

impl Batch {
    /// A request was queued, with this number of calls in flight; whether that is enough for its
    /// caller to poll the connection.
    #[inline]
    pub(super) fn add(&self, in_flight: u32) -> bool {
        let queued = self.queued.fetch_add(1, Ordering::Relaxed) + 1;
        queued >= (in_flight / 2).clamp(LEAST, MOST)
    }

    /// What is queued is written now.
    pub(super) fn write(&self) {
        let queued = self.queued.swap(0, Ordering::Relaxed);
        let expected = self.expected.load(Ordering::Relaxed);
        let left = expected.saturating_sub(queued);
        self.expected.store(left, Ordering::Relaxed);
    }

    /// This number of answers was read.
    pub(super) fn answered(&self, calls: u32) {
        self.expected.fetch_add(calls, Ordering::Relaxed);
    }

    /// Whether requests are queued, and more are expected.
    pub(super) fn grows(&self) -> bool {
        let queued = self.queued.load(Ordering::Relaxed);
        queued > 0 && queued < self.expected.load(Ordering::Relaxed)
    }

    /// Callers that have not called by now are not expected any more.
    pub(super) fn expect_no_more(&self) {
        self.expected.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // FACTS 1: early flush
    #[test]
    fn half_of_the_calls_in_flight_are_enough_for_a_write() {
        for (in_flight, enough) in [
            (0, 4),
            (8, 4),
            (9, 4),
            (10, 5),
            (64, 32),
            (128, 64),
            (9_999, 64),
        ] {
            let batch = Batch::default();
            let queued = (1..1_000).find(|_| batch.add(in_flight));
            assert_eq!(queued, Some(enough), "{in_flight}");
        }
    }

    #[test]
    fn more_are_expected_until_each_answered_caller_has_called_again() {
        let batch = Batch::default();
        batch.answered(3);
        assert!(!batch.grows(), "nothing is there to be written");
        batch.add(8);
        batch.add(8);
        assert!(batch.grows());
        batch.write();
        batch.add(8);
        assert!(!batch.grows(), "all three have called");
        batch.answered(3);
        assert!(batch.grows());
        batch.expect_no_more();
        assert!(!batch.grows());
    }

    #[test]
    fn a_call_alone_is_not_held_up() {
        let batch = Batch::default();
        for _ in 0..3 {
            batch.add(1);
            assert!(!batch.grows());
            batch.write();
            batch.answered(1);
        }
    }
}
