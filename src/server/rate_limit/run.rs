use super::pace::{Nanos, Pace};

/// Promises a period apart, the first at `next`. Plain arithmetic, so that no list grows under
/// attack.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    next: Nanos,
    count: u64,
}

impl Run {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The time of the first promise.
    pub(super) fn first(&self) -> Option<Nanos> {
        (self.count > 0).then_some(self.next)
    }

    /// The time one period after the last promise.
    pub(super) fn end(&self, pace: &Pace) -> Nanos {
        pace.later(self.next, self.count)
    }

    /// The number of promises with a time at or before `now`.
    pub(super) fn due(&self, pace: &Pace, now: Nanos) -> u64 {
        let since = now.checked_sub(self.next);
        since.map_or(0, |since| (since / pace.period + 1).min(self.count))
    }

    /// The number of promises with a time more than `than` before `now`.
    pub(super) fn older(&self, pace: &Pace, now: Nanos, than: Nanos) -> u64 {
        let late = now.saturating_sub(self.next).saturating_sub(than);
        late.div_ceil(pace.period).min(self.count)
    }

    pub(super) fn drop_first(&mut self, pace: &Pace, count: u64) {
        self.next = pace.later(self.next, count);
        self.count = self.count.saturating_sub(count);
    }

    /// Takes out the first `count` promises.
    pub(super) fn split_first(&mut self, pace: &Pace, count: u64) -> Self {
        let first = Self {
            next: self.next,
            count,
        };
        self.drop_first(pace, count);
        first
    }

    /// Adds the promises of a later run. Across a gap, the earlier ones stand longer.
    pub(super) fn append(&mut self, pace: &Pace, more: Self) {
        if more.is_empty() {
            return;
        }
        let before = pace.period.saturating_mul(self.count);
        self.next = if self.is_empty() {
            more.next
        } else {
            self.next.max(more.next.saturating_sub(before))
        };
        self.count = self.count.saturating_add(more.count);
    }

    pub(super) fn one(at: Nanos) -> Self {
        Self { next: at, count: 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::rate_limit::Quota;

    /// A period of 10 ns.
    fn pace() -> Pace {
        Pace::new(
            Quota::every(Duration::from_nanos(10)).unwrap(),
            Duration::ZERO,
        )
    }

    #[test]
    fn a_run_is_counted_by_its_times() {
        let run = Run { next: 20, count: 3 };
        let due = [19, 20, 29, 30, 1_000].map(|now| run.due(&pace(), now));
        assert_eq!(due, [0, 1, 1, 2, 3]);
        let older = [25, 26, 35, 36, 1_000].map(|now| run.older(&pace(), now, 5));
        assert_eq!(older, [0, 1, 1, 2, 3]);
        assert_eq!(run.end(&pace()), 50);
    }

    #[test]
    fn across_a_gap_the_earlier_promises_stand_longer_and_none_stands_shorter() {
        let mut run = Run::default();
        run.append(&pace(), Run { next: 20, count: 2 });
        run.append(&pace(), Run::one(40));
        assert_eq!((run.first(), run.count()), (Some(20), 3));
        run.append(&pace(), Run { next: 99, count: 0 });
        run.append(&pace(), Run::one(57));
        assert_eq!((run.first(), run.count()), (Some(27), 4));
        assert_eq!(run.end(&pace()), 67);
    }
}
