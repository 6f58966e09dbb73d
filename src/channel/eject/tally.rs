use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::blame::Blame;
use super::gate::Gate;
use super::rules::{Record, Rules};
use super::window::Window;
use crate::channel::changes::Changes;

/// What ejection counts of one endpoint. It is part of the endpoint's load.
#[derive(Debug)]
pub(crate) struct Tally {
    rules: Rules,
    window: Window,
    in_a_row: AtomicU32,
    /// When the last call went well, in milliseconds, plus one; 0: never.
    last_well: AtomicU32,
    /// When the first of the failures in a row ended, in milliseconds, or of the last ones.
    row_since: AtomicU64,
    /// The last failure's, plus one; 0: never.
    last_failure: AtomicU64,
    /// When the balancer was woken last, in milliseconds, plus one; 0: never.
    told_at: AtomicU64,
    changes: Arc<Changes>,
    gate: Gate,
    /// Until when it is ejected, in nanoseconds, plus one; 0: it is not.
    out_until: AtomicU64,
    times: AtomicU32,
}

/// Whether an endpoint is ejected, for snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Until when, in nanoseconds since the channel's epoch. Afterwards one call decides.
    pub(crate) out_until: Option<u64>,
    /// How often it was ejected in a row.
    pub(crate) times: u32,
}

/// An endpoint that fails call after call wakes the balancer no more often, in milliseconds.
const AGAIN: u64 = 10;
const NANOS: u64 = 1_000_000;

impl Tally {
    pub(crate) fn new(rules: Rules, changes: Arc<Changes>) -> Self {
        Self {
            rules,
            window: Window::default(),
            in_a_row: AtomicU32::new(0),
            last_well: AtomicU32::new(0),
            row_since: AtomicU64::new(0),
            last_failure: AtomicU64::new(0),
            told_at: AtomicU64::new(0),
            changes,
            gate: Gate::default(),
            out_until: AtomicU64::new(0),
            times: AtomicU32::new(0),
        }
    }

    /// A call went well, or was answered by the application. Milliseconds may be cut off to 32
    /// bits.
    #[inline]
    pub(crate) fn answered(&self, millis: u32) {
        self.window.add(millis, false);
        self.last_well
            .store(millis.wrapping_add(1), Ordering::Relaxed);
        // Read first: while all goes well nothing is written.
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    /// A call failed, at `now` nanoseconds.
    #[cold]
    pub(crate) fn failed(&self, now: u64, blame: Blame) {
        let millis = now / NANOS;
        match blame {
            Blame::Answered => return self.answered(cut(millis)),
            Blame::None => return,
            Blame::Rate | Blame::Both => {}
        }
        self.window.add(cut(millis), true);
        self.last_failure.store(millis + 1, Ordering::Relaxed);
        if blame == Blame::Both
            && self
                .rules
                .begins_row(self.in_a_row.fetch_add(1, Ordering::Relaxed))
        {
            self.row_since.store(millis, Ordering::Relaxed);
        }
        if self.rules.broken_by(&self.record(now)).is_some() {
            self.tell(millis);
        }
    }

    fn tell(&self, millis: u64) {
        let told = self.told_at.load(Ordering::Relaxed);
        if told == 0 || millis + 1 >= told + AGAIN {
            self.told_at.store(millis + 1, Ordering::Relaxed);
            self.changes.judge();
        }
    }

    pub(crate) fn record(&self, now: u64) -> Record {
        let millis = now / NANOS;
        let sum = self.window.sum(cut(millis));
        let last_well = match self.last_well.load(Ordering::Relaxed) {
            0 => None,
            cut_off => {
                let passed = cut(millis).wrapping_sub(cut_off.wrapping_sub(1));
                // Another thread's clock may be ahead.
                let passed = if passed > u32::MAX / 2 { 0 } else { passed };
                Some(millis.saturating_sub(u64::from(passed)))
            }
        };
        Record {
            in_a_row: self.in_a_row.load(Ordering::Relaxed),
            row_since: self.row_since.load(Ordering::Relaxed),
            last_well,
            last_failure: self.last_failure.load(Ordering::Relaxed).checked_sub(1),
            calls: sum.calls,
            failures: sum.failures,
        }
    }

    /// What was counted counts no more: the endpoint begins anew.
    pub(crate) fn clear(&self) {
        self.window.clear();
        self.in_a_row.store(0, Ordering::Relaxed);
        self.last_well.store(0, Ordering::Relaxed);
        self.last_failure.store(0, Ordering::Relaxed);
        self.told_at.store(0, Ordering::Relaxed);
        self.gate.close();
        self.out_until.store(0, Ordering::Relaxed);
        self.times.store(0, Ordering::Relaxed);
    }

    /// It is ejected until then.
    pub(crate) fn put_out(&self, until: u64, times: u32) {
        self.gate.close();
        self.out_until.store(until + 1, Ordering::Relaxed);
        self.times.store(times, Ordering::Relaxed);
    }

    /// From now on one call may go there, and decides.
    pub(crate) fn probe(&self, now: u64) {
        self.gate.open(now);
    }

    /// Whether the call that begins now is the one that decides.
    #[cold]
    pub(crate) fn takes_probe(&self, now: u64, may_repeat: bool) -> bool {
        self.gate.take(now, may_repeat)
    }

    /// The call that was to decide does not.
    #[cold]
    pub(crate) fn no_probe(&self, start: u64) {
        self.gate.give_back(start);
    }

    /// The call that began then decides.
    #[cold]
    pub(crate) fn probed(&self, start: u64, has_passed: bool) {
        if self.gate.decide(start, has_passed) {
            self.changes.judge();
        }
    }

    pub(crate) fn verdict(&self) -> Option<bool> {
        self.gate.verdict()
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing {
            out_until: self.out_until.load(Ordering::Relaxed).checked_sub(1),
            times: self.times.load(Ordering::Relaxed),
        }
    }
}

fn cut(millis: u64) -> u32 {
    u32::try_from(millis & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::super::rules::tests::rules;
    use super::*;

    const MS: u64 = NANOS;

    fn tally() -> (Tally, Arc<Changes>) {
        let changes = Arc::<Changes>::default();
        (Tally::new(rules(), Arc::clone(&changes)), changes)
    }

    fn is_told(changes: &Changes) -> bool {
        changes.take(&Context::from_waker(Waker::noop())).is_suspect
    }

    // CONTRACT O2
    #[test]
    fn the_fifth_failure_in_a_row_wakes_the_balancer_and_no_other_within_10_ms() {
        let (tally, changes) = tally();
        for _ in 0..4 {
            tally.failed(100 * MS, Blame::Both);
        }
        tally.answered(100);
        tally.failed(101 * MS, Blame::Both);
        tally.failed(102 * MS, Blame::Rate);
        tally.failed(102 * MS, Blame::None);
        for _ in 0..3 {
            tally.failed(103 * MS, Blame::Both);
        }
        assert!(!is_told(&changes));
        assert_eq!(tally.record(103 * MS).in_a_row, 4);
        assert_eq!(tally.record(103 * MS).row_since, 101);
        tally.failed(104 * MS, Blame::Both);
        assert!(is_told(&changes));
        tally.failed(113 * MS, Blame::Both);
        assert!(!is_told(&changes));
        tally.failed(114 * MS, Blame::Both);
        assert!(is_told(&changes));
    }

    // CONTRACT O1
    #[test]
    fn a_row_that_goes_on_is_compared_with_what_others_did_lately() {
        let (tally, _changes) = tally();
        for now in 1..=10 {
            tally.failed(now * MS, Blame::Both);
        }
        assert_eq!(tally.record(10 * MS).row_since, 1);
        tally.failed(11 * MS, Blame::Both);
        let record = tally.record(11 * MS);
        assert_eq!((record.in_a_row, record.row_since), (11, 11));
    }

    // CONTRACT O2
    #[test]
    fn a_failure_that_counts_in_the_rate_alone_does_not_end_a_row() {
        let (tally, changes) = tally();
        for _ in 0..19 {
            tally.failed(0, Blame::Rate);
        }
        assert!(!is_told(&changes));
        assert_eq!(tally.record(0).in_a_row, 0);
        tally.failed(0, Blame::Rate);
        assert!(is_told(&changes));
    }

    #[test]
    fn the_time_of_the_last_call_is_known_after_the_milliseconds_began_again() {
        let (tally, _changes) = tally();
        let day = 86_400_000_u64;
        for millis in [0, 5, 49 * day, 60 * day, 100 * day] {
            tally.answered(cut(millis));
            assert_eq!(tally.record(millis * MS).last_well, Some(millis));
            let later = tally.record((millis + 7_000) * MS);
            assert_eq!(later.last_well, Some(millis));
        }
        tally.failed(100 * day * MS, Blame::Both);
        assert_eq!(tally.record(200 * day * MS).last_failure, Some(100 * day));
    }

    #[test]
    fn an_answer_by_a_clock_that_is_ahead_is_of_now() {
        let (tally, _changes) = tally();
        tally.answered(105);
        assert_eq!(tally.record(100 * MS).last_well, Some(100));
    }

    // CONTRACT O3
    #[test]
    fn the_call_that_probes_wakes_the_balancer_and_none_probes_once_that_is_over() {
        let (tally, changes) = tally();
        tally.probe(MS);
        assert!(tally.takes_probe(2 * MS, true));
        tally.probed(MS, true);
        assert!(!is_told(&changes), "that call was not it");
        tally.probed(2 * MS, false);
        assert!(is_told(&changes));
        tally.probe(3 * MS);
        tally.put_out(9 * MS, 2);
        assert!(!tally.takes_probe(4 * MS, true), "it is ejected again");
        tally.probe(10 * MS);
        tally.clear();
        assert!(!tally.takes_probe(11 * MS, true), "it is back");
    }

    // CONTRACT O2
    #[test]
    fn an_endpoint_that_begins_anew_wakes_the_balancer_at_once() {
        let (tally, changes) = tally();
        let fails = |millis: u64| (0..5).for_each(|_| tally.failed(millis * MS, Blame::Both));
        fails(100);
        assert!(is_told(&changes));
        tally.clear();
        fails(101);
        assert!(is_told(&changes));
    }

    // CONTRACT O5
    #[test]
    fn an_endpoint_that_begins_anew_has_no_past() {
        let (tally, _changes) = tally();
        tally.answered(50);
        tally.failed(100 * MS, Blame::Both);
        tally.put_out(200 * MS, 3);
        let out = Standing {
            out_until: Some(200 * MS),
            times: 3,
        };
        assert_eq!(tally.standing(), out);
        tally.clear();
        let record = tally.record(100 * MS);
        assert_eq!((record.in_a_row, record.calls, record.failures), (0, 0, 0));
        assert_eq!((record.last_well, record.last_failure), (None, None));
        let standing = tally.standing();
        assert_eq!((standing.out_until, standing.times), (None, 0));
    }
}
