use super::ahead::Ahead;
use super::pace::{Nanos, Pace};
use super::run::Run;

/// A bucket, and the promises of its cells: refused callers received the times of their cells.
///
/// The bucket is GCRA. Promises stand in a line, a period apart. A caller takes the first promise,
/// because promises hold no caller's name. A late caller takes the next cell, and the callers
/// behind it wait for as long as it was late.
///
/// Some callers never return. When the time of a promise is over by
/// [`cell_kept`](Pace::cell_kept), its turn passes: the next caller, new or returning, is admitted
/// or gets a time ahead of the line. A caller whose turn has passed is still admitted if it returns
/// while its promise stands, and waits for its cell.
///
/// A call that retries after another failure cannot be distinguished from one with a promise, and
/// takes a promise. All behind it move by a period. A caller that then finds no promise waits for
/// the next cell, like them, if that is within the grace.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// The time when the bucket is full; in the past if it is full.
    full: Nanos,
    /// Promises whose cells are kept.
    line: Run,
    /// Promises whose callers did not return in time, but still may.
    missed: Run,
    /// Promises of times ahead of the line.
    ahead: Ahead,
    /// The number of turns that passed unused; negative if callers returned whose turns were used.
    turns: i64,
}

/// A request for a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asks {
    pub(super) returning: bool,
    /// The caller can return or wait for a cell within this time.
    pub(super) patience: Nanos,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gets {
    /// A cell at this time: now or soon.
    Cell { at: Nanos, promised: bool },
    /// A promise of the cell at this time.
    Promise { at: Nanos },
    /// No cell: the first cell that is not promised to another is at this time.
    Nothing { at: Nanos },
}

/// The promise that a caller returns for.
#[derive(Clone, Copy, Debug)]
enum Claim {
    Line,
    Missed,
    Ahead,
}

impl Promises {
    /// A full bucket without promises.
    pub(super) fn new(now: Nanos) -> Self {
        Self {
            full: now,
            ..Self::default()
        }
    }

    /// Decides on a request. Call [`lapse`](Self::lapse) before.
    pub(super) fn ask(&mut self, pace: &Pace, asks: Asks, now: Nanos) -> Gets {
        let free = self.free(pace, now).max(now);
        let wait = free - now;
        let can_wait = wait <= asks.patience;
        let claim = asks.returning.then(|| self.claim(pace, now)).flatten();
        match claim {
            Some(claim) if wait == 0 || can_wait => {
                self.keep(pace, claim);
                self.take(pace, now, free, true)
            }
            // The promise that it returned for still stands.
            Some(_) => Gets::Nothing { at: free },
            // A lapsed promise has left its turn.
            None if asks.returning && can_wait && self.use_turn() => {
                self.take(pace, now, free, false)
            }
            None if wait == 0 && (self.use_turn() || self.is_spare(pace, now)) => {
                self.take(pace, now, free, false)
            }
            // Another caller may have taken its promise: it waits as long as those that were moved
            // by that.
            None if asks.returning && can_wait && self.is_unpromised(pace, now, free) => {
                self.take(pace, now, free, false)
            }
            None => self.promise(pace, asks, now),
        }
    }

    fn promise(&mut self, pace: &Pace, asks: Asks, now: Nanos) -> Gets {
        let suits = |at: Nanos| at.saturating_sub(now) <= asks.patience;
        let end = self.end(pace, now);
        let ahead = pace.later(self.free(pace, now), self.ahead.to_come(now));
        if ahead < end && suits(ahead) && self.has_place_ahead() {
            self.turns -= 1;
            self.ahead.add(pace, ahead);
            Gets::Promise { at: ahead }
        } else if suits(end) {
            self.add_to_line(pace, end);
            Gets::Promise { at: end }
        } else {
            Gets::Nothing { at: end }
        }
    }

    /// Lets turns pass and promises lapse, and returns the number of lapsed promises.
    pub(super) fn lapse(&mut self, pace: &Pace, now: Nanos) -> u64 {
        let passed = self.line.older(pace, now, pace.cell_kept);
        let late = self.line.split_first(pace, passed);
        self.missed.append(pace, late);
        let lapsed = self.missed.older(pace, now, pace.stands);
        self.missed.drop_first(pace, lapsed);
        let lapsed_ahead = self.ahead.lapse(pace, now);
        self.pass(pace, passed.saturating_add(lapsed_ahead));
        if !self.stand() {
            self.turns = 0;
        }
        lapsed.saturating_add(lapsed_ahead)
    }

    /// Adds passed turns, up to the number that keeps waits within their limit.
    fn pass(&mut self, pace: &Pace, turns: u64) {
        let most = pace.most_ahead.saturating_sub(self.ahead.count());
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let turns = i64::try_from(turns).unwrap_or(i64::MAX);
        self.turns = self.turns.saturating_add(turns).min(most);
    }

    pub(super) fn stand(&self) -> bool {
        !(self.line.is_empty() && self.missed.is_empty() && self.ahead.is_empty())
    }

    pub(super) fn is_full(&self, now: Nanos) -> bool {
        self.full <= now
    }

    /// Takes the first cell, which may be in the future.
    fn take(&mut self, pace: &Pace, now: Nanos, at: Nanos, promised: bool) -> Gets {
        self.full = pace.later(self.full.max(now), 1);
        Gets::Cell { at, promised }
    }

    /// Uses a passed turn, if there is one, to admit a caller ahead of the line.
    fn use_turn(&mut self) -> bool {
        let is_left = self.turns > 0;
        self.turns -= i64::from(is_left);
        is_left
    }

    /// The time of the first cell. In a full bucket it is in the past.
    fn free(&self, pace: &Pace, now: Nanos) -> Nanos {
        self.full.max(now).saturating_sub(pace.held)
    }

    /// The promise that a returning caller takes, if any: the one that lapses first.
    fn claim(&self, pace: &Pace, now: Nanos) -> Option<Claim> {
        let soon = |at: &Nanos| *at <= now.saturating_add(pace.stands);
        let line = self.line.first().filter(soon).map(|at| (at, Claim::Line));
        let ahead = self.ahead.first().map(|at| (at, Claim::Ahead));
        let missed = self.missed.first().map(|at| (at, Claim::Missed));
        let first = [missed, ahead, line].into_iter().flatten();
        first.min_by_key(|(at, _)| *at).map(|(_, claim)| claim)
    }

    /// Removes a promise whose caller has returned.
    fn keep(&mut self, pace: &Pace, claim: Claim) {
        match claim {
            Claim::Line => self.line.drop_first(pace, 1),
            Claim::Missed => {
                self.missed.drop_first(pace, 1);
                // Its turn had passed: now it was used twice, or is used up.
                self.turns -= 1;
            }
            Claim::Ahead => self.ahead.take(),
        }
    }

    fn add_to_line(&mut self, pace: &Pace, at: Nanos) {
        if !self.line.is_empty() && self.line.end(pace) < at {
            // The whole line is due, and waits for a late bucket, which determines the next times.
            let due = std::mem::take(&mut self.line);
            self.missed.append(pace, due);
        }
        self.line.append(pace, Run::one(at));
    }

    /// Whether the callers in the line would get their cells in time if one were taken now.
    fn is_spare(&self, pace: &Pace, now: Nanos) -> bool {
        let Some(next) = self.line.first() else {
            return true;
        };
        let due = self.line.due(pace, now);
        let full = self.full.max(now);
        // There is a cell for each that is due now, and one for each later one at its time.
        let is_there = pace.later(full, due) <= now.saturating_add(pace.held);
        let is_left = pace.later(full, 1) <= next.saturating_add(pace.held);
        is_there && (is_left || due == self.line.count())
    }

    /// Whether the first cell is within the grace, and is not promised.
    fn is_unpromised(&self, pace: &Pace, now: Nanos, free: Nanos) -> bool {
        let next = self.line.first();
        let is_left = |next: Nanos| {
            let after = pace.later(self.full.max(now), 1);
            after <= next.saturating_add(pace.held)
        };
        free - now <= pace.stands && next.is_none_or(is_left)
    }

    /// The time after the last promise of the line.
    fn end(&self, pace: &Pace, now: Nanos) -> Nanos {
        let free = self.free(pace, now);
        if self.line.is_empty() {
            return pace.later(free, self.ahead.count());
        }
        let end = self.line.end(pace);
        // A late line moves on only as callers return. Its end is not later than planned, if that
        // is in the future.
        if end > now {
            end
        } else {
            pace.later(free, self.line.count())
        }
    }

    /// Whether a place ahead may be promised. A quarter of the turns, at least one, is left for
    /// callers that arrive when there is a cell.
    fn has_place_ahead(&self) -> bool {
        let ahead = i64::try_from(self.ahead.count()).unwrap_or(i64::MAX);
        let left = self.turns.saturating_add(ahead) / 4;
        self.turns > left.max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Quota;
    use super::super::pace::MILLI;
    use super::*;

    impl Promises {
        /// The number of entries that are not plain counters.
        pub(in crate::server::rate_limit) fn entries(&self) -> usize {
            self.ahead.groups.len()
        }
    }

    /// One cell each 10 ms.
    fn pace(burst: u32) -> Pace {
        let quota = Quota::every(Duration::from_millis(10)).unwrap();
        Pace::new(quota.burst(burst).unwrap(), Duration::from_millis(250))
    }

    const START: Nanos = 1_000_000 * MILLI;

    fn ms(millis: u64) -> Nanos {
        START + millis * MILLI
    }

    /// The result of a request at that time.
    fn ask(promises: &mut Promises, pace: &Pace, returning: bool, millis: u64) -> Gets {
        let asks = Asks {
            returning,
            patience: 60_000 * MILLI,
        };
        promises.lapse(pace, ms(millis));
        promises.ask(pace, asks, ms(millis))
    }

    fn new(promises: &mut Promises, pace: &Pace, millis: u64) -> Gets {
        ask(promises, pace, false, millis)
    }

    fn again(promises: &mut Promises, pace: &Pace, millis: u64) -> Gets {
        ask(promises, pace, true, millis)
    }

    fn cell(millis: u64, promised: bool) -> Gets {
        let at = ms(millis);
        Gets::Cell { at, promised }
    }

    fn promise(millis: u64) -> Gets {
        Gets::Promise { at: ms(millis) }
    }

    /// A bucket that is empty at the start, with a line of `count` promises, the first in 10 ms.
    fn line(pace: &Pace, count: u64) -> Promises {
        let mut promises = Promises::new(ms(0));
        promises.full = ms(10) + pace.held;
        for number in 1..=count {
            assert_eq!(new(&mut promises, pace, 0), promise(10 * number));
        }
        promises
    }

    #[test]
    fn those_behind_a_late_caller_wait_for_as_long_as_it_was_late() {
        let pace = pace(1);
        let mut promises = line(&pace, 4);
        assert_eq!(again(&mut promises, &pace, 14), cell(14, true));
        assert_eq!(again(&mut promises, &pace, 20), cell(24, true));
        assert_eq!(again(&mut promises, &pace, 37), cell(37, true));
        assert_eq!(again(&mut promises, &pace, 40), cell(47, true));
        assert!(!promises.stand());
    }

    #[test]
    fn each_turn_that_passes_lets_one_in_ahead_of_the_line() {
        let pace = pace(1);
        let mut promises = line(&pace, 10);
        assert_eq!(new(&mut promises, &pace, 11), cell(11, false));
        // The second is on time. The first is late, its turn has passed, and it gets the next cell.
        assert_eq!(again(&mut promises, &pace, 20), cell(21, true));
        assert_eq!(again(&mut promises, &pace, 30), cell(31, true));
        assert_eq!(again(&mut promises, &pace, 33), cell(41, true));
        assert_eq!(again(&mut promises, &pace, 40), cell(51, true));
        // A turn was used twice; the next turn that passes makes up for it.
        assert_eq!(promises.turns, -1);
        promises.lapse(&pace, ms(52));
        assert_eq!((promises.missed.count(), promises.turns), (1, 0));
    }

    #[test]
    fn a_turn_is_used_by_whoever_comes_first_with_or_without_a_cell_to_spare() {
        let pace = pace(5);
        let mut promises = line(&pace, 30);
        // Two turns have passed, and their cells are there.
        let turns = 2;
        for _ in 0..turns {
            assert_eq!(new(&mut promises, &pace, 41), cell(41, false));
        }
        assert_eq!(promises.turns, 0);
        assert_eq!(new(&mut promises, &pace, 41), promise(310));
    }

    #[test]
    fn a_new_caller_leaves_the_cells_of_those_who_are_due_and_of_those_to_come() {
        let pace = pace(5);
        let mut promises = line(&pace, 3);
        // The one cell is for the caller that is due.
        assert_eq!(new(&mut promises, &pace, 10), promise(40));
        assert_eq!(again(&mut promises, &pace, 10), cell(10, true));
        // The callers of 20 and 30 have not returned; both cells are there, the last is not.
        assert_eq!(new(&mut promises, &pace, 39), promise(50));
        assert_eq!(again(&mut promises, &pace, 39), cell(39, true));
        assert_eq!(again(&mut promises, &pace, 39), cell(39, true));
        assert_eq!(new(&mut promises, &pace, 39), promise(60));
    }

    #[test]
    fn a_new_caller_does_not_take_the_cell_of_one_who_comes_before_the_next() {
        let pace = pace(5);
        let mut promises = line(&pace, 1);
        promises.full = ms(5) + pace.held;
        assert_eq!(new(&mut promises, &pace, 5), promise(20));
        promises.full = ms(0) + pace.held;
        assert_eq!(new(&mut promises, &pace, 5), cell(5, false));
    }

    #[test]
    fn a_cell_past_the_end_of_the_line_is_for_whoever_comes() {
        let pace = pace(5);
        let mut promises = line(&pace, 1);
        assert_eq!(new(&mut promises, &pace, 20), cell(20, false));
        assert_eq!(again(&mut promises, &pace, 20), cell(20, true));
    }

    #[test]
    fn a_promise_lapses_at_the_end_of_the_grace_and_leaves_nothing() {
        let pace = pace(1);
        let mut promises = line(&pace, 1);
        assert_eq!(promises.lapse(&pace, ms(260)), 0);
        assert_eq!((promises.stand(), promises.turns), (true, 1));
        assert_eq!(promises.lapse(&pace, ms(260) + 1), 1);
        assert_eq!((promises.stand(), promises.turns), (false, 0));
        assert!(promises.is_full(ms(260)));
    }

    #[test]
    fn a_caller_comes_for_the_promise_that_lapses_first() {
        let pace = pace(1);
        let mut promises = line(&pace, 40);
        promises.lapse(&pace, ms(105));
        assert_eq!(promises.missed.count(), 10);
        again(&mut promises, &pace, 105);
        assert_eq!((promises.missed.count(), promises.line.count()), (9, 30));
    }

    #[test]
    fn one_comes_early_by_as_much_as_it_may_come_late() {
        let pace = pace(1);
        let mut promises = line(&pace, 100);
        for _ in 0..25 {
            again(&mut promises, &pace, 0);
        }
        let next = promises.line.first();
        assert_eq!(next, Some(ms(260)));
        assert_eq!(again(&mut promises, &pace, 0), promise(1_010));
        // But a caller whose promise has lapsed finds the turn that it left.
        promises.turns = 1;
        assert_eq!(again(&mut promises, &pace, 0), cell(260, false));
        assert_eq!(promises.turns, 0);
    }

    #[test]
    fn who_finds_its_promise_taken_waits_for_the_next_cell_if_that_is_near() {
        let pace = pace(1);
        let mut promises = line(&pace, 2);
        // A caller without a promise.
        assert_eq!(again(&mut promises, &pace, 10), cell(10, true));
        assert_eq!(again(&mut promises, &pace, 11), cell(20, true));
        assert_eq!(again(&mut promises, &pace, 20), cell(30, false));
        // A new caller does not wait.
        assert_eq!(new(&mut promises, &pace, 21), promise(40));
        // As many as come within the grace.
        let mut promises = line(&pace, 0);
        let let_in =
            (0..40).take_while(|_| matches!(again(&mut promises, &pace, 0), Gets::Cell { .. }));
        assert_eq!(let_in.count(), 25);
    }

    #[test]
    fn a_cell_before_the_line_is_not_taken_by_who_finds_no_promise() {
        let pace = pace(1);
        let mut promises = line(&pace, 1);
        promises.line = Run::one(ms(300));
        assert_eq!(again(&mut promises, &pace, 0), cell(10, false));
        promises.line = Run::one(ms(265));
        promises.full = ms(260) + pace.held;
        assert_eq!(again(&mut promises, &pace, 12), promise(275));
    }

    #[test]
    fn places_ahead_are_a_period_apart_and_come_back_if_nobody_comes_for_them() {
        let pace = pace(1);
        let mut promises = line(&pace, 1_000);
        promises.lapse(&pace, ms(505));
        let most = i64::try_from(pace.most_ahead).unwrap();
        assert_eq!(promises.turns, 50);
        assert_eq!(new(&mut promises, &pace, 505), cell(505, false));
        let mut places = 0;
        while new(&mut promises, &pace, 505) == promise(515 + 10 * places) {
            places += 1;
        }
        // A quarter is left for callers that arrive when there is a cell.
        assert_eq!((promises.turns, places), (12, 37));
        // The times of all are over, so the next one is soon.
        assert_eq!(promises.ahead.count(), places);
        assert_eq!(new(&mut promises, &pace, 1_005), cell(1_005, false));
        promises.turns = most / 2;
        let late = promises.ahead.count();
        assert_eq!(new(&mut promises, &pace, 1_005), promise(1_015));
        // Callers that do not return leave their turns.
        promises.line = Run::default();
        promises.missed = Run::default();
        assert_eq!(promises.lapse(&pace, ms(1_300)), late);
        let back = i64::try_from(late).unwrap();
        assert_eq!(promises.turns, most / 2 - 1 + back);
    }

    #[test]
    fn no_more_turns_pass_than_those_in_the_line_can_wait_for() {
        let pace = pace(1);
        let mut promises = line(&pace, 1_000);
        for _ in 10..pace.most_ahead {
            promises.ahead.add(&pace, ms(600));
        }
        promises.lapse(&pace, ms(505));
        assert_eq!((promises.missed.count(), promises.turns), (25, 10));
    }

    #[test]
    fn who_is_told_of_the_end_of_a_short_line_takes_no_place_ahead() {
        let pace = pace(1);
        let mut promises = line(&pace, 2);
        promises.turns = 40;
        for _ in 0..3 {
            promises.ahead.add(&pace, ms(50));
        }
        assert_eq!(new(&mut promises, &pace, 5), promise(30));
        assert_eq!(promises.turns, 40);
    }

    #[test]
    fn without_a_line_the_first_cell_that_is_free_comes_after_those_ahead() {
        let pace = pace(1);
        let mut promises = line(&pace, 0);
        promises.ahead.add(&pace, ms(10));
        assert_eq!(new(&mut promises, &pace, 0), promise(20));
    }

    #[test]
    fn a_line_that_is_late_is_told_its_end_by_the_bucket_if_the_time_is_over() {
        let pace = pace(10);
        let mut promises = line(&pace, 2);
        // Callers that retried have taken the cells of 100 ms.
        promises.full = ms(110) + pace.held;
        assert_eq!(new(&mut promises, &pace, 40), promise(130));
        // The callers before are admitted, and no time was postponed.
        assert_eq!(promises.missed.count(), 2);
        assert_eq!(again(&mut promises, &pace, 40), cell(110, true));
        assert_eq!(promises.line.first(), Some(ms(130)));
    }

    #[test]
    fn a_caller_that_can_not_wait_is_told_when_and_its_promise_stands() {
        let pace = pace(1);
        let mut promises = line(&pace, 2);
        let asks = Asks {
            returning: true,
            patience: 4 * MILLI,
        };
        let gets = promises.ask(&pace, asks, ms(5));
        assert_eq!(gets, Gets::Nothing { at: ms(10) });
        assert_eq!(promises.line.count(), 2);
        assert_eq!(again(&mut promises, &pace, 5), cell(10, true));
    }
}
