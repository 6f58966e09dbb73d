use std::time::Duration;

use crate::backoff::{Backoff as _, Exponential, Retry};

const FIRST_DELAY: Duration = Duration::from_millis(250);
const MOST_DELAY: Duration = Duration::from_secs(30);
/// A shorter wait is none to doubt.
const DOUBT: Duration = Duration::from_secs(10);

/// Which query follows which answer (CONTRACT N7). It reads no clock.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// 0: the next query is answered at once. Otherwise by the first change after this one.
    index: u64,
    failures: u32,
}

impl Course {
    /// The index from which the next query waits for a change.
    pub(super) fn index(&self) -> Option<u64> {
        (self.index > 0).then_some(self.index)
    }

    /// The agent answered with this index.
    pub(super) fn answered(&mut self, index: u64, has_instance: bool) {
        self.failures = 0;
        // Indexes begin at 1; a wait from 0 would be none, and the queries follow each other fast.
        let index = index.max(1);
        // The servers lost their data, or the agent is another one: a wait from an index of before
        // would last until the new ones reach it.
        let is_rewound = index < self.index;
        // A wait that should not be costs calls if there is no instance at all.
        self.index = if is_rewound || !has_instance {
            0
        } else {
            index
        };
    }

    /// There was no answer, or none that can be used; the delay before the next query. `unit` is a
    /// random number in `[0, 1)`.
    pub(super) fn failed(&mut self, unit: f64) -> Duration {
        // What answers next may be an agent that was started again.
        self.index = 0;
        self.failures = self.failures.saturating_add(1);
        let curve = Exponential::standard(FIRST_DELAY, 2.0, MOST_DELAY);
        curve.delay(&Retry::new(self.failures, Duration::ZERO, unit))
    }

    /// Connections fail, so the addresses may be stale. Whether to give a wait up that has lasted
    /// for so long, for a query that is answered at once.
    ///
    /// The agent tells of each change, so a short wait is right. A long one may be of a connection
    /// that broke without a word.
    pub(super) fn doubts(&mut self, waiting: Duration) -> bool {
        let doubts = self.index > 0 && waiting >= DOUBT;
        if doubts {
            self.index = 0;
        }
        doubts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Given {
        Answer(u64),
        Empty(u64),
        Failure,
    }
    use Given::{Answer, Empty, Failure};

    // CONTRACT N7
    #[test]
    fn the_next_query_goes_by_the_answers_before() {
        let mut course = Course::default();
        assert_eq!(course.index(), None, "the first query waits for nothing");
        for (number, (given, next)) in [
            (Answer(7), Some(7)),
            (Answer(7), Some(7)),
            (Answer(9), Some(9)),
            // Rewound: once more without an index, then on from there.
            (Answer(3), None),
            (Answer(3), Some(3)),
            // An index below 1.
            (Answer(0), None),
            (Answer(0), Some(1)),
            (Answer(5), Some(5)),
            // No instance.
            (Empty(6), None),
            (Empty(6), None),
            (Answer(7), Some(7)),
            // Another agent may answer next.
            (Failure, None),
            (Failure, None),
            (Answer(2), Some(2)),
        ]
        .into_iter()
        .enumerate()
        {
            match given {
                Answer(index) => course.answered(index, true),
                Empty(index) => course.answered(index, false),
                Failure => drop(course.failed(0.5)),
            }
            assert_eq!(course.index(), next, "row {number}");
        }
    }

    // CONTRACT N7
    #[test]
    fn failures_back_off_from_250_ms_to_30_s_with_full_jitter() {
        let mut course = Course::default();
        let delays: Vec<_> = (0..9).map(|_| course.failed(0.5).as_millis()).collect();
        assert_eq!(
            delays,
            [125, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]
        );
        assert_eq!(course.failed(0.0), Duration::ZERO);
        course.answered(1, true);
        assert_eq!(course.failed(0.5), Duration::from_millis(125));
    }

    // CONTRACT N5, N7
    #[test]
    fn a_wish_gives_up_a_long_wait_and_no_short_one() {
        let mut course = Course::default();
        assert!(!course.doubts(Duration::from_secs(60)), "it waits for none");
        course.answered(7, true);
        assert!(!course.doubts(Duration::from_millis(9_999)));
        assert_eq!(course.index(), Some(7));
        assert!(course.doubts(Duration::from_secs(10)));
        assert_eq!(course.index(), None);
    }
}
