use std::time::Duration;

use super::Quota;

/// Nanoseconds: a duration, or a time since long before the buckets of a layer were made.
pub(super) type Nanos = u64;

pub(super) const MILLI: Nanos = 1_000_000;

/// The time at which the buckets of a layer are made. Any bucket could have filled before it,
/// because that takes at most a year.
pub(super) const START: Nanos = 400 * 86_400 * 1_000 * MILLI;

/// Durations and limits derived from a quota and a grace. All times are in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) period: Nanos,
    /// A bucket keeps a cell for this long before it is full.
    pub(super) held: Nanos,
    /// A promised cell is kept for its caller for this long; then it is for any caller.
    pub(super) cell_kept: Nanos,
    /// A promise stands for this long. A caller that returns within it is admitted, with its own
    /// cell or else with the next one. A caller may also return early by as much.
    pub(super) stands: Nanos,
    /// The number of callers that may be admitted ahead of the line, each in place of one that did
    /// not return.
    pub(super) most_ahead: u64,
}

/// The longest wait of a returning caller, as a multiple of the grace.
const WAITS_OF_GRACE: u64 = 4;

impl Pace {
    pub(super) fn new(quota: Quota, grace: Duration) -> Self {
        let period = nanos(quota.period()).max(1);
        let held = nanos(quota.fill_time()).saturating_sub(period);
        let grace = nanos(grace);
        // A cell that a full bucket keeps for one caller is lost to all. A bucket with one cell is
        // full at once.
        let cell_kept = grace.min((held / 2).max(period / 16));
        // If all callers are as late as allowed, those behind them wait as long, unless the bucket
        // has cells. The rest of the wait is for callers admitted ahead, a period each, and two
        // periods for rounding.
        let late = grace.saturating_sub(held.min(cell_kept));
        let others = longest_wait(period, grace).saturating_sub(late) / period;
        Self {
            period,
            held,
            cell_kept,
            stands: grace,
            most_ahead: others.saturating_sub(2),
        }
    }

    /// The time `count` periods later.
    pub(super) fn later(&self, than: Nanos, count: u64) -> Nanos {
        than.saturating_add(self.period.saturating_mul(count))
    }
}

/// The longest wait of a returning caller for its cell (the laws in `laws`).
pub(super) fn longest_wait(period: Nanos, grace: Nanos) -> Nanos {
    // A slow quota would admit too few ahead of a line of callers that never return.
    let slow = period.saturating_mul(5).saturating_add(grace);
    let slow = slow.min(period.saturating_mul(8));
    grace.saturating_mul(WAITS_OF_GRACE).max(slow)
}

/// Saturates after half a millennium.
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
    fn a_caller_waits_at_most_four_times_the_grace_or_some_periods_of_a_slow_quota() {
        for (period, longest) in [
            (1, 1_000),
            (125, 1_000),
            (150, 1_000),
            (160, 1_050),
            (1_000, 5_250),
        ] {
            let longest_wait = longest_wait(period * MILLI, 250 * MILLI);
            assert_eq!(longest_wait, longest * MILLI, "{period} ms");
        }
    }

    #[test]
    fn a_cell_is_kept_for_half_of_what_the_bucket_keeps_one_and_at_most_the_grace() {
        let kept = |burst| pace(ms(16), burst).cell_kept / MILLI;
        assert_eq!([1, 2, 10, 51].map(kept), [1, 8, 72, 250]);
    }

    #[test]
    fn as_many_are_let_in_ahead_as_the_longest_wait_allows() {
        let ahead = |period, burst| pace(ms(period), burst).most_ahead;
        // 75 and 100 periods of 10 ms, less two.
        assert_eq!([1, 51].map(|burst| ahead(10, burst)), [73, 98]);
        assert_eq!([1, 2].map(|burst| ahead(86_400_000, burst)), [3, 3]);
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
                assert!(pace.most_ahead >= 3, "{pace:?}");
                assert!(pace.cell_kept <= pace.stands, "{pace:?}");
            }
        }
    }
}
