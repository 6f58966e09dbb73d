use super::ahead::Ahead;
use super::pace::{Nanos, Pace};
use super::run::Run;

/// A bucket, and the cells of it that are spoken for: refused callers were told when theirs comes.
///
/// The bucket is GCRA. Promises stand in a line, a period apart, and a caller takes the first one, since
/// nobody's name is on a promise. One that is late takes the next cell there is, and those behind it wait
/// for as long as it was late.
///
/// Some never come. When the time of a promise is over by [`cell_kept`](Pace::cell_kept), its turn
/// passes: the caller that comes next, new or not, is let in or told of a time ahead of the line. Whose
/// turn has passed is let in all the same if it comes while its promise stands, and waits for its cell.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// When the bucket is full, in the past if it is.
    full: Nanos,
    /// Cells are kept for these.
    line: Run,
    /// These did not come in time, but still may.
    missed: Run,
    /// These were told of a time ahead of the line.
    ahead: Ahead,
    /// How many turns passed that nobody used; below zero if those came whose turns were used.
    turns: i64,
}

/// Who asks for a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asks {
    /// It comes again.
    pub(super) returning: bool,
    /// It can come for a cell, or wait for it, that is so near.
    pub(super) patience: Nanos,
    /// There is a timer by which it can wait.
    pub(super) can_wait: bool,
}

/// What a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gets {
    /// A cell that is there then: now, or soon.
    Cell { at: Nanos, promised: bool },
    /// A promise of a cell.
    Promise { at: Nanos },
    /// Nothing: then the first cell comes that nobody else was promised.
    Nothing { at: Nanos },
}

/// Which promise a caller comes for.
#[derive(Clone, Copy, Debug)]
enum Claim {
    Line,
    Missed,
    Ahead,
}

impl Promises {
    /// With a full bucket.
    pub(super) fn new(now: Nanos) -> Self {
        Self {
            full: now,
            ..Self::default()
        }
    }

    /// Decides on a request, after [`lapse`](Self::lapse).
    pub(super) fn ask(&mut self, pace: &Pace, asks: Asks, now: Nanos) -> Gets {
        let free = self.free(pace, now).max(now);
        let wait = free - now;
        let can_wait = asks.can_wait && wait <= pace.longest_wait && wait <= asks.patience;
        let claim = asks.returning.then(|| self.claim(pace, now)).flatten();
        match claim {
            Some(claim) if wait == 0 || can_wait => {
                self.keep(pace, claim);
                self.take(pace, now, free, true)
            }
            // What it came for still stands.
            Some(_) => Gets::Nothing { at: free },
            // A promise that lapsed has left its turn.
            None if asks.returning && can_wait && self.use_turn() => {
                self.take(pace, now, free, false)
            }
            None if wait == 0 && (self.use_turn() || self.is_spare(pace, now)) => {
                self.take(pace, now, free, false)
            }
            None => self.promise(pace, asks, now),
        }
    }

    fn promise(&mut self, pace: &Pace, asks: Asks, now: Nanos) -> Gets {
        let suits = |at: Nanos| at.saturating_sub(now) <= asks.patience;
        let end = self.end(pace, now);
        let ahead = pace.later(self.free(pace, now), self.ahead.to_come(now));
        if ahead < end && suits(ahead) && self.has_place_ahead(pace) {
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

    /// Lets turns pass and promises lapse, and says how many lapsed.
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

    /// So many turns are for others, as far as that makes nobody wait too long.
    fn pass(&mut self, pace: &Pace, turns: u64) {
        let most = pace.most_ahead.saturating_sub(self.ahead.count());
        let most = i64::try_from(most).unwrap_or(i64::MAX).max(self.turns);
        let turns = i64::try_from(turns).unwrap_or(i64::MAX);
        self.turns = self.turns.saturating_add(turns).min(most);
    }

    pub(super) fn stand(&self) -> bool {
        !(self.line.is_empty() && self.missed.is_empty() && self.ahead.is_empty())
    }

    pub(super) fn is_full(&self, now: Nanos) -> bool {
        self.full <= now
    }

    /// Takes the first cell, which may be one to come.
    fn take(&mut self, pace: &Pace, now: Nanos, at: Nanos, promised: bool) -> Gets {
        self.full = pace.later(self.full.max(now), 1);
        Gets::Cell { at, promised }
    }

    /// Whether somebody may go ahead of the line in place of one that did not come.
    fn use_turn(&mut self) -> bool {
        let is_left = !self.line.is_empty() && self.turns > 0;
        self.turns -= i64::from(is_left);
        is_left
    }

    /// Since when, or from when on, there is a cell. A full bucket has had its first for long.
    fn free(&self, pace: &Pace, now: Nanos) -> Nanos {
        self.full.max(now).saturating_sub(pace.held)
    }

    /// The promise that a caller comes for, if it may: the one that lapses first.
    fn claim(&self, pace: &Pace, now: Nanos) -> Option<Claim> {
        let soon = |at: &Nanos| *at <= now.saturating_add(pace.stands);
        let line = self.line.first().filter(soon).map(|at| (at, Claim::Line));
        let ahead = self.ahead.first().map(|at| (at, Claim::Ahead));
        let missed = self.missed.first().map(|at| (at, Claim::Missed));
        let first = [missed, ahead, line].into_iter().flatten();
        first.min_by_key(|(at, _)| *at).map(|(_, claim)| claim)
    }

    /// Its caller has come.
    fn keep(&mut self, pace: &Pace, claim: Claim) {
        match claim {
            Claim::Line => self.line.drop_first(pace, 1),
            Claim::Missed => {
                self.missed.drop_first(pace, 1);
                // Its turn had passed, and now was used twice or is used up.
                self.turns -= 1;
            }
            Claim::Ahead => self.ahead.take(),
        }
    }

    fn add_to_line(&mut self, pace: &Pace, at: Nanos) {
        if !self.line.is_empty() && self.line.end(pace) < at {
            // All of it is due, and waits for a late bucket. The next times are told by that.
            let due = std::mem::take(&mut self.line);
            self.missed.append(pace, due);
        }
        self.line.append(pace, Run::one(at));
    }

    /// Whether those in the line would have their cells in time if one were taken now.
    fn is_spare(&self, pace: &Pace, now: Nanos) -> bool {
        let Some(next) = self.line.first() else {
            return true;
        };
        let due = self.line.due(pace, now);
        let full = self.full.max(now);
        // One for each that is due is left now, and for those to come when they come.
        let is_there = pace.later(full, due) <= now.saturating_add(pace.held);
        let is_left = pace.later(full, 1) <= next.saturating_add(pace.held);
        is_there && (is_left || due == self.line.count())
    }

    /// The end of the line.
    fn end(&self, pace: &Pace, now: Nanos) -> Nanos {
        let free = self.free(pace, now);
        if self.line.is_empty() {
            return pace.later(free, self.ahead.count());
        }
        let end = self.line.end(pace);
        // A late line moves on only as callers come. Its end is not told later than it was to be, if
        // that is to come.
        if end > now {
            end
        } else {
            pace.later(free, self.line.count())
        }
    }

    /// Some turns are left for callers that come when there is a cell.
    fn has_place_ahead(&self, pace: &Pace) -> bool {
        let left = i64::try_from((pace.most_ahead / 4).max(1)).unwrap_or(i64::MAX);
        !self.line.is_empty() && self.turns > left
    }
}

#[cfg(test)]
impl Promises {
    /// How much it remembers.
    pub(super) fn entries(&self) -> usize {
        self.ahead.groups()
    }
}
