use std::time::Duration;

use tokio::time::Instant;

use super::Quota;

/// Which cells of a bucket are spoken for: refused callers were told when theirs comes.
///
/// The promises that stand are `count` times, from `next` on, a period apart. All of it is arithmetic, so
/// that no list grows under attack. Nobody's name is on a promise: who comes again when one is due takes
/// the oldest.
#[derive(Debug)]
pub(super) struct Promises {
    period: Duration,
    /// For so long the bucket holds what nobody takes, from its first cell on.
    held: Duration,
    /// For how long a promise is kept after its time.
    grace: Duration,
    next: Instant,
    count: u64,
    /// While promises stand: by then, at the latest, the limiter has its next cell.
    free: Instant,
}

/// Which cell a request may ask the limiter for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Any: none is promised.
    Any,
    /// A promised one whose time has come.
    Promised,
    /// One that is there and promised to nobody, or no longer.
    Spare,
    /// None yet: it comes a little before the next promise, which stands.
    Early,
    /// None: all are promised to others.
    Taken,
}

impl Promises {
    /// What a full bucket keeps for one caller is lost to all. So the grace is half of the time, at most,
    /// for which it holds a cell; where it holds none, half of a period.
    pub(super) fn new(quota: Quota, grace: Duration, now: Instant) -> Self {
        let period = quota.period();
        let held = quota.fill_time().saturating_sub(period);
        Self {
            period,
            held,
            grace: grace.min(held.max(period) / 2),
            next: now,
            count: 0,
            free: now,
        }
    }

    /// Lets the promises lapse that were not kept in time, and says how many.
    pub(super) fn lapse(&mut self, now: Instant) -> u64 {
        let late = now
            .saturating_duration_since(self.next)
            .saturating_sub(self.grace);
        let lapsed = self.periods(late, u128::div_ceil).min(self.count);
        self.next = self.later(self.next, lapsed);
        self.count -= lapsed;
        lapsed
    }

    /// Which cell a request may ask for; `returning` if it comes again. After [`lapse`](Self::lapse).
    pub(super) fn claim(&self, now: Instant, returning: bool) -> Claim {
        let due = self.due(now);
        let is_near = || self.next.saturating_duration_since(now) <= self.grace;
        if self.count == 0 {
            Claim::Any
        } else if returning && due > 0 {
            Claim::Promised
        } else if self.has_spare(now, due) {
            Claim::Spare
        } else if returning && is_near() {
            Claim::Early
        } else {
            Claim::Taken
        }
    }

    /// Whether all promises could still be kept if a cell were taken now.
    fn has_spare(&self, now: Instant, due: u64) -> bool {
        // One for each that is due is left now, and for those to come when they come.
        let is_there = self.later(self.first(now), due) <= now;
        let harms_none = due == self.count || self.later(self.first(now), 1) <= self.next;
        // A bucket of one cell is full as soon as that is there, and then time is lost. The promises to
        // come are late by as much, or new callers would get nothing from it.
        let is_released = self.held.is_zero() && self.later(self.free, 1) <= self.next;
        is_there && (harms_none || is_released)
    }

    /// The limiter admitted the request.
    pub(super) fn admitted(&mut self, claim: Claim, now: Instant) {
        self.free = self.later(self.first(now), 1);
        if claim == Claim::Promised {
            self.next = self.later(self.next, 1);
            self.count = self.count.saturating_sub(1);
        }
        if self.count > self.due(now) {
            self.next = self.next.max(self.free);
        }
    }

    /// The limiter refused the request until then.
    pub(super) fn refused(&mut self, free: Instant) {
        self.free = free;
        self.next = if self.count == 0 {
            free
        } else {
            self.next.max(free)
        };
    }

    /// When the first promise is due, or would be.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// The first cell that is promised to nobody.
    pub(super) fn end(&self) -> Instant {
        self.later(self.next.max(self.free), self.count)
    }

    /// Promises [that cell](Self::end).
    pub(super) fn promise(&mut self) {
        self.next = self.next.max(self.free);
        self.count = self.count.saturating_add(1);
    }

    pub(super) fn stand(&self) -> bool {
        self.count > 0
    }

    /// How many promises have their time now or had it.
    fn due(&self, now: Instant) -> u64 {
        now.checked_duration_since(self.next).map_or(0, |since| {
            self.periods(since, |since, period| since / period)
                .saturating_add(1)
                .min(self.count)
        })
    }

    /// Since when the limiter has the first of its cells: it holds them no longer.
    fn first(&self, now: Instant) -> Instant {
        let oldest = now.checked_sub(self.held);
        oldest.map_or(self.free, |oldest| oldest.max(self.free))
    }

    fn periods(&self, span: Duration, divide: fn(u128, u128) -> u128) -> u64 {
        let count = divide(span.as_nanos(), self.period.as_nanos().max(1));
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// So many periods later.
    fn later(&self, than: Instant, count: u64) -> Instant {
        let period = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX);
        let span = Duration::from_nanos(period.saturating_mul(count));
        // No clock goes so far.
        than.checked_add(span).unwrap_or(than)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Three promises, 10 ms apart, the first in 10 ms; a grace of 25 ms, if the bucket allows it.
    fn three(burst: u32, now: Instant) -> Promises {
        let quota = Quota::every(ms(10)).unwrap().burst(burst).unwrap();
        let mut promises = Promises::new(quota, ms(25), now);
        promises.refused(now + ms(10));
        for number in 1..=3 {
            assert_eq!(promises.end(), now + ms(10 * number));
            promises.promise();
        }
        promises
    }

    #[test]
    fn nobody_gets_a_promised_cell_but_who_comes_again() {
        let now = Instant::now();
        let mut promises = three(10, now);
        assert_eq!(promises.claim(now + ms(10), false), Claim::Taken);
        assert_eq!(promises.claim(now + ms(10), true), Claim::Promised);
        promises.admitted(Claim::Promised, now + ms(10));
        assert_eq!(promises.claim(now + ms(10), true), Claim::Early);
        assert_eq!(promises.next(), now + ms(20));
        assert_eq!(promises.end(), now + ms(40));
    }

    #[test]
    fn a_promise_stands_to_the_end_of_its_grace_and_then_is_for_whoever_comes() {
        let now = Instant::now();
        let mut promises = three(10, now);
        assert_eq!(promises.lapse(now + ms(35)), 0);
        assert_eq!(promises.claim(now + ms(35), false), Claim::Taken);
        let later = now + ms(35) + Duration::from_nanos(1);
        assert_eq!(promises.lapse(later), 1);
        assert_eq!(promises.claim(later, false), Claim::Spare);
        promises.admitted(Claim::Spare, later);
        assert_eq!(promises.claim(later, false), Claim::Taken);
        assert_eq!(promises.claim(later, true), Claim::Promised);
        assert_eq!(promises.lapse(now + ms(1_000)), 2);
        assert_eq!(promises.claim(now + ms(1_000), false), Claim::Any);
    }

    #[test]
    fn late_callers_leave_the_times_of_the_others_as_they_are() {
        let now = Instant::now();
        let mut promises = three(10, now);
        for late in [18, 23, 34] {
            assert_eq!(promises.lapse(now + ms(late)), 0);
            assert_eq!(promises.claim(now + ms(late), true), Claim::Promised);
            promises.admitted(Claim::Promised, now + ms(late));
        }
        assert!(!promises.stand());
        assert_eq!(promises.end(), now + ms(40));
    }

    #[test]
    fn in_a_bucket_of_one_cell_a_late_caller_makes_the_others_late() {
        let now = Instant::now();
        let mut promises = three(1, now);
        // Half of the period is all the grace that there is.
        assert_eq!(promises.lapse(now + ms(15)), 0);
        promises.admitted(Claim::Promised, now + ms(15));
        assert_eq!(promises.next(), now + ms(25));
        assert_eq!(promises.claim(now + ms(20), true), Claim::Early);
        assert_eq!(promises.claim(now + ms(19), true), Claim::Taken);
    }

    #[test]
    fn a_cell_past_the_last_promise_is_for_whoever_comes() {
        let now = Instant::now();
        let mut promises = three(10, now);
        assert_eq!(promises.lapse(now + ms(30)), 0);
        assert_eq!(promises.claim(now + ms(30), false), Claim::Taken);
        assert_eq!(promises.lapse(now + ms(35)), 0);
        promises.admitted(Claim::Promised, now + ms(35));
        assert_eq!(promises.claim(now + ms(40), false), Claim::Spare);
        promises.admitted(Claim::Spare, now + ms(40));
        assert_eq!(promises.claim(now + ms(40), false), Claim::Taken);
        assert_eq!(promises.end(), now + ms(50));
        promises.promise();
        promises.admitted(Claim::Promised, now + ms(40));
        promises.admitted(Claim::Promised, now + ms(40));
        assert_eq!(promises.next(), now + ms(50));
        assert!(promises.stand());
    }

    #[test]
    fn no_more_cells_are_spare_than_the_bucket_holds() {
        let now = Instant::now();
        let mut promises = three(3, now);
        for _ in 3..100 {
            promises.promise();
        }
        // The last of a hundred stands, and comes.
        let then = now + ms(999);
        assert_eq!(promises.lapse(then), 98);
        assert_eq!(promises.claim(then, false), Claim::Spare);
        promises.admitted(Claim::Spare, then);
        assert_eq!(promises.claim(then, false), Claim::Taken);
    }
}
