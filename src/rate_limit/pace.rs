use std::time::Duration;

use super::Quota;

/// Nanoseconds, or a time in nanoseconds since long before the buckets of a layer were made.
pub(super) type Nanos = u64;

pub(super) const MILLI: Nanos = 1_000_000;

/// When the buckets of a layer are made: any of them could have been full before, since that takes a
/// year at most.
pub(super) const START: Nanos = 400 * 86_400 * 1_000 * MILLI;

/// What a quota and a grace come to. All times are in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) period: Nanos,
    /// A bucket keeps a cell for so long before it is full.
    pub(super) held: Nanos,
    /// A promised cell is kept for its caller for so long; then it is for anybody who comes.
    pub(super) cell_kept: Nanos,
    /// A promise stands for so long. Who comes in time is let in, if not with its own cell then with
    /// the next one. A caller may also come earlier by as much.
    pub(super) stands: Nanos,
    /// A caller that comes back waits for its cell no longer than this.
    pub(super) longest_wait: Nanos,
    /// So many callers may be let in ahead of the line, each in place of one that did not come.
    pub(super) most_ahead: u64,
}

impl Pace {
    /// The numbers are such that nobody in the line waits longer than [`longest_wait`](Self::longest_wait),
    /// even if all come at once whose promises stand (the laws in `promises`): the line is late by
    /// `stands - min(held, cell_kept)` if all come late, by one period for each caller let in ahead of it,
    /// and by two for those of which a part of a period is left.
    pub(super) fn new(quota: Quota, grace: Duration) -> Self {
        let period = nanos(quota.period()).max(1);
        let held = nanos(quota.fill_time()).saturating_sub(period);
        let grace = nanos(grace);
        // What a full bucket keeps for one caller is lost to all. One of a single cell is full at once.
        let cell_kept = grace.min((held / 2).max(period / 16));
        // A slow quota would let nobody in ahead of a line of callers that never come.
        let slow = period.saturating_mul(5).saturating_add(grace);
        let slow = slow.min(period.saturating_mul(8));
        let longest_wait = grace.max(slow);
        let two = period.saturating_mul(2);
        let shared = longest_wait.saturating_sub(two).saturating_add(cell_kept);
        // The rest is for those let in ahead: while few of a line come, most callers are.
        let stands = cell_kept.max(grace.min(shared / 4));
        let late = stands.saturating_sub(held.min(cell_kept));
        let ahead = longest_wait.saturating_sub(two).saturating_sub(late) / period;
        Self {
            period,
            held,
            cell_kept,
            stands,
            longest_wait,
            most_ahead: ahead.max(1),
        }
    }

    /// So many periods later.
    pub(super) fn later(&self, than: Nanos, count: u64) -> Nanos {
        than.saturating_add(self.period.saturating_mul(count))
    }
}

/// Half a millennium fits in.
pub(super) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn pace(period: Duration, burst: u32) -> Pace {
        let quota = Quota::every(period).unwrap().burst(burst).unwrap();
        Pace::new(quota, ms(250))
    }

    #[test]
    fn a_caller_waits_at_most_the_grace_or_some_periods_of_a_slow_quota() {
        for (period, longest) in [
            (ms(1), 250),
            (ms(31), 250),
            (ms(50), 400),
            (ms(1_000), 5_250),
        ] {
            for burst in [1, 2, 10, 500] {
                assert_eq!(pace(period, burst).longest_wait, nanos(ms(longest)));
            }
        }
    }

    #[test]
    fn a_promise_stands_for_a_quarter_of_the_grace_or_for_all_of_it_if_the_bucket_keeps_its_cell() {
        let stands = |burst| pace(ms(10), burst).stands / MILLI;
        let found = [1, 2, 10, 51, 500].map(stands);
        assert_eq!(found, [57, 58, 68, 250, 250]);
    }

    #[test]
    fn some_callers_are_let_in_ahead_of_the_line_at_any_pace() {
        for period in [
            1,
            1_000,
            1_000_000,
            30_000_000,
            1_000_000_000,
            86_400_000_000_000,
        ] {
            for burst in [1, 2, 10, 300] {
                let pace = pace(Duration::from_nanos(period), burst);
                assert!(pace.most_ahead >= 1, "{pace:?}");
                assert!(pace.cell_kept <= pace.stands, "{pace:?}");
            }
        }
    }
}
