use std::time::Duration;

/// When an endpoint is ejected, and for how long; checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(super) in_a_row: Option<u32>,
    pub(super) rate: Option<Rate>,
    pub(super) base: Duration,
    pub(super) longest: Duration,
    pub(super) most_percent: u32,
}

/// Too many failures of many calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// More than this fail.
    pub(super) percent: u32,
    /// The least number of calls that a rate is taken of.
    pub(super) calls: u32,
}

/// What the calls of an endpoint say of it. Times are in milliseconds since the channel's epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Failures since the last call that went well.
    pub(crate) in_a_row: u32,
    /// When the first of them ended.
    pub(crate) row_since: u64,
    pub(crate) last_well: Option<u64>,
    pub(crate) last_failure: Option<u64>,
    /// Calls that ended in the last ten seconds.
    pub(crate) calls: u32,
    pub(crate) failures: u32,
}

/// Which rule an endpoint breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    InARow,
    Rate,
}

impl Why {
    /// Its name in events.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InARow => "consecutive_failures",
            Self::Rate => "failure_percentage",
        }
    }
}

impl Record {
    /// The part of its calls that failed, of those of the last ten seconds.
    pub(crate) fn rate(&self) -> f64 {
        match self.calls {
            0 => 0.0,
            calls => f64::from(self.failures) / f64::from(calls),
        }
    }

    /// Whether a call failed within the last ten seconds.
    pub(super) fn is_recent(&self, now: u64) -> bool {
        self.last_failure.is_some_and(|at| now < at + 10_000)
    }
}

impl Rules {
    /// Which rule this breaks, if any (CONTRACT O2).
    pub(crate) fn broken_by(&self, record: &Record) -> Option<Why> {
        self.all_broken_by(record).next()
    }

    /// Which rules this breaks.
    pub(super) fn all_broken_by(&self, record: &Record) -> impl Iterator<Item = Why> + use<> {
        let is_row = self.in_a_row.is_some_and(|most| record.in_a_row >= most);
        let (calls, failures) = (u64::from(record.calls), u64::from(record.failures));
        let is_over = |rate: Rate| {
            record.calls >= rate.calls && failures * 100 > calls * u64::from(rate.percent)
        };
        let is_rate = self.rate.is_some_and(is_over);
        let row = is_row.then_some(Why::InARow);
        row.into_iter().chain(is_rate.then_some(Why::Rate))
    }

    /// Whether a failure that follows `before` failures in a row begins a row. The calls of other
    /// endpoints are compared from the begin of the row on. A long row begins anew after twice the
    /// limit, because otherwise one failure of each other endpoint would excuse it for ever.
    pub(super) fn begins_row(&self, before: u32) -> bool {
        match self.in_a_row {
            Some(most) => before.is_multiple_of(most.saturating_mul(2)),
            None => before == 0,
        }
    }

    /// Whether another endpoint shows that the fault is the endpoint's own: its rate of failures is
    /// at most a third (CONTRACT O1).
    ///
    /// Rates of few calls are guesses, and where all endpoints fail one of them always looks best.
    /// So some failures are added to the other's, and it has to have worked while this one failed.
    pub(crate) fn is_better(&self, other: &Record, failing: &Record, why: Why) -> bool {
        let is_third = |other_more: [u32; 2], own_more: u32| {
            let [failures, calls] = other_more;
            let other_failures = u64::from(other.failures + failures);
            let other_calls = u64::from(other.calls + calls);
            let own_calls = u64::from(failing.calls + own_more);
            3 * other_failures * own_calls <= u64::from(failing.failures) * other_calls
        };
        if why == Why::Rate {
            return is_third([3, 6], 4);
        }
        // Of a row that ended longer ago no rate is known.
        let is_recent = failing.failures > 0;
        // In turn, it may have had one call less.
        let is_known = self.in_a_row.is_none_or(|most| other.calls + 1 >= most);
        let has_failed = other.last_failure.is_some_and(|at| at >= failing.row_since);
        let has_worked = other.last_well.is_some_and(|at| at >= failing.row_since);
        is_recent && is_known && has_worked && !has_failed && is_third([1, 2], 0)
    }

    /// How many of these endpoints may be ejected at a time (CONTRACT O4).
    pub(super) fn most_of(&self, endpoints: usize) -> usize {
        match endpoints {
            0 | 1 => 0,
            _ => (endpoints * self.most_percent as usize / 100).clamp(1, endpoints - 1),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::channel::eject::Ejection;

    pub(crate) fn rules() -> Rules {
        Ejection::new().rules()
    }

    /// All failures in a row, the rest before them.
    pub(crate) fn record(in_a_row: u32, failures: u32, calls: u32) -> Record {
        Record {
            in_a_row,
            row_since: 1_000,
            last_well: (calls > failures).then_some(if in_a_row > 0 { 900 } else { 1_100 }),
            last_failure: (failures > 0).then_some(if in_a_row > 0 { 1_100 } else { 900 }),
            calls,
            failures,
        }
    }

    // CONTRACT O2
    #[test]
    fn five_in_a_row_or_more_than_a_fifth_of_twenty_break_a_rule() {
        for (in_a_row, failures, calls, expected) in [
            (4, 4, 4, None),
            (5, 5, 5, Some(Why::InARow)),
            (5, 5, 10_000, Some(Why::InARow)),
            (0, 4, 20, None),
            (0, 5, 20, Some(Why::Rate)),
            (0, 19, 19, None),
            (0, 20, 100, None),
            (0, 21, 100, Some(Why::Rate)),
            (0, 0, 0, None),
        ] {
            let record = record(in_a_row, failures, calls);
            assert_eq!(rules().broken_by(&record), expected, "{record:?}");
        }
    }

    // CONTRACT O1
    #[test]
    fn another_endpoint_is_better_if_it_worked_meanwhile_and_fails_a_third_as_often() {
        let bad = record(5, 5, 5);
        let better = |other: &Record, bad: &Record, why| rules().is_better(other, bad, why);
        for (other, expected) in [
            (record(0, 0, 4), true),
            (record(0, 0, 3), false),
            (record(0, 0, 0), false),
            (record(1, 1, 50), false),
            (record(0, 15, 50), true),
            (record(0, 17, 50), false),
        ] {
            assert_eq!(better(&other, &bad, Why::InARow), expected, "{other:?}");
        }
        let mut other = record(0, 0, 50);
        other.last_well = Some(999);
        assert!(!better(&other, &bad, Why::InARow), "it had no call since");
        let mut other = record(0, 1, 50);
        other.last_failure = Some(1_000);
        assert!(!better(&other, &bad, Why::InARow), "it failed since");
    }

    // CONTRACT O1
    #[test]
    fn of_an_endpoint_without_a_call_in_the_last_ten_seconds_no_rate_is_known() {
        let old = record(5, 0, 0);
        for (in_a_row, calls) in [(5, 4), (5, 50), (1, 0), (1, 50)] {
            let rules = Ejection::new().consecutive_failures(in_a_row).rules();
            let other = Record {
                last_well: Some(1_100),
                ..record(0, 0, calls)
            };
            assert_eq!(rules.broken_by(&old), Some(Why::InARow));
            assert!(!rules.is_better(&other, &old, Why::InARow), "{calls}");
        }
        let rules = Ejection::new().consecutive_failures(1).rules();
        let silent = Record {
            last_well: Some(1_100),
            ..record(0, 0, 0)
        };
        assert!(!rules.is_better(&silent, &record(1, 1, 1), Why::InARow));
    }

    // CONTRACT O1
    #[test]
    fn a_rate_is_compared_with_one_that_is_known_as_well() {
        let better = |other, bad| rules().is_better(&other, &bad, Why::Rate);
        for (other, expected) in [
            ((0, 26), true),
            ((0, 25), false),
            ((5, 100), true),
            ((7, 100), true),
            ((8, 100), false),
            ((30, 100), false),
        ] {
            let bad = record(0, 30, 100);
            let (failures, calls) = other;
            let other = record(0, failures, calls);
            assert_eq!(better(other, bad), expected, "{other:?}");
        }
        assert!(better(record(0, 0, 8), record(0, 20, 20)), "all failed");
    }

    // CONTRACT O4
    #[test]
    fn half_may_go_and_at_least_one_of_two_and_never_all() {
        for (percent, endpoints, most) in [
            (50, 0, 0),
            (50, 1, 0),
            (50, 2, 1),
            (50, 3, 1),
            (50, 4, 2),
            (50, 1_000, 500),
            (10, 2, 1),
            (10, 30, 3),
            (100, 2, 1),
            (100, 10, 9),
        ] {
            let rules = Ejection::new().max_ejection_percent(percent).rules();
            assert_eq!(rules.most_of(endpoints), most, "{percent} % of {endpoints}");
        }
    }
}
