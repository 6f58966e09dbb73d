//! Laws of a bucket and its promises for callers at any times: without a clock, a service or a
//! thread. CONTRACT Q1 to Q5.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::Quota;
use super::pace::{MILLI, Nanos, Pace, START, longest_wait};
use super::promises::{Asks, Gets, Promises};

const SECOND: Nanos = 1_000 * MILLI;

/// How a caller uses a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obeys {
    Never,
    /// It returns this late, in thousandths of the time for which a promise stands.
    Late(u64),
}

/// Callers of one bucket that may return.
struct World {
    pace: Pace,
    burst: u64,
    promises: Promises,
    now: Nanos,
    /// The returning callers by the time of their return, with the promised time.
    returns: BTreeMap<(Nanos, u64), Nanos>,
    came: u64,
    /// The times of the cells that were taken.
    cells: Vec<Nanos>,
    longest_wait: Nanos,
    promised: u64,
    kept: u64,
    lapsed: u64,
}

impl World {
    fn new(pace: Pace, burst: u32) -> Self {
        Self {
            pace,
            burst: burst.into(),
            promises: Promises::new(START),
            now: START,
            returns: BTreeMap::new(),
            came: 0,
            cells: Vec::new(),
            longest_wait: 0,
            promised: 0,
            kept: 0,
            lapsed: 0,
        }
    }

    /// Lets all callers return that are due by `then`.
    fn until(&mut self, then: Nanos) {
        while let Some(entry) = self.returns.first_entry() {
            if entry.key().0 > then {
                break;
            }
            let ((at, _), told) = entry.remove_entry();
            self.now = at;
            let gets = self.ask(true);
            let Gets::Cell { .. } = gets else {
                panic!("came at {at}, told {told}: {gets:?}, {:?}", self.promises);
            };
        }
        self.now = then;
    }

    fn ask(&mut self, returning: bool) -> Gets {
        let asks = Asks {
            returning,
            patience: 60 * SECOND,
        };
        self.lapsed += self.promises.lapse(&self.pace, self.now);
        let gets = self.promises.ask(&self.pace, asks, self.now);
        self.came += 1;
        match gets {
            Gets::Cell { at, promised } => {
                assert!(at >= self.now);
                assert!(returning || at == self.now, "new callers never wait");
                self.longest_wait = self.longest_wait.max(at - self.now);
                self.cells.push(at);
                self.kept += u64::from(promised);
            }
            Gets::Promise { at } => {
                assert!(at > self.now, "told {at} at {}", self.now);
                self.promised += 1;
            }
            Gets::Nothing { at } => assert!(at > self.now),
        }
        gets
    }

    /// A new caller arrives now and accepts no promise.
    fn asks_for_no_promise(&mut self) {
        let asks = Asks {
            returning: false,
            patience: 0,
        };
        if let Gets::Cell { at, .. } = self.promises.ask(&self.pace, asks, self.now) {
            self.cells.push(at);
        }
    }

    /// A new caller arrives now.
    fn comes(&mut self, obeys: Obeys) -> bool {
        match (self.ask(false), obeys) {
            (Gets::Promise { at: told }, Obeys::Late(late)) => {
                let late = self.pace.stands / 1_000 * late.min(1_000);
                self.returns.insert((told + late, self.came), told);
                false
            }
            (gets, _) => matches!(gets, Gets::Cell { .. }),
        }
    }

    fn assert_laws(&self) {
        // From any cell to any later one: the burst, and the cells that came meanwhile.
        let burst = usize::try_from(self.burst).unwrap();
        for window in self.cells.windows(burst + 1) {
            assert!(window[burst] >= window[0] + self.pace.period);
        }
        for (from, to) in self.cells.iter().zip(self.cells.iter().skip(1)) {
            assert!(from <= to);
        }
        let first = self.cells.first().copied().unwrap_or(START);
        for (index, cell) in self.cells.iter().enumerate() {
            let index = u64::try_from(index).unwrap();
            assert!(index < self.burst + (cell - first) / self.pace.period);
        }
        let most = longest_wait(self.pace.period, self.pace.stands);
        assert!(self.longest_wait <= most, "{self:?}");
        assert!(self.kept + self.lapsed <= self.promised);
        assert!(self.promises.entries() <= 8, "{:?}", self.promises);
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let longest_wait = Duration::from_nanos(self.longest_wait);
        f.debug_struct("World")
            .field("pace", &self.pace)
            .field("burst", &self.burst)
            .field("came", &self.came)
            .field("admitted", &self.cells.len())
            .field("longest_wait", &longest_wait)
            .field("promised", &self.promised)
            .field("kept", &self.kept)
            .field("lapsed", &self.lapsed)
            .finish_non_exhaustive()
    }
}

fn paces() -> impl Strategy<Value = (Pace, u32)> {
    let period = prop_oneof![10_u64..1_000, 1_000_u64..50_000, 50_000_u64..2_000_000];
    (period, 1_u32..12, prop_oneof![Just(250_u64), 0_u64..600]).prop_map(
        |(micros, burst, grace)| {
            let quota = Quota::every(Duration::from_micros(micros)).unwrap();
            let quota = quota.burst(burst).unwrap();
            (Pace::new(quota, Duration::from_millis(grace)), burst)
        },
    )
}

fn obeys() -> impl Strategy<Value = Obeys> {
    prop_oneof![
        Just(Obeys::Never),
        Just(Obeys::Late(0)),
        (0_u64..1_001).prop_map(Obeys::Late),
        Just(Obeys::Late(1_000)),
    ]
}

/// Groups of callers: their number, their distance in thousandths of a period, and their behaviour.
fn crowds() -> impl Strategy<Value = Vec<(u16, u64, Obeys)>> {
    vec((1_u16..200, 0_u64..4_000, obeys()), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_quota_is_kept_and_who_comes_in_time_is_let_in_soon((pace, burst) in paces(), crowds in crowds()) {
        let mut world = World::new(pace, burst);
        for (count, apart, obeys) in crowds {
            for _ in 0..count {
                world.until(world.now + pace.period * apart / 1_000);
                world.comes(obeys);
            }
        }
        world.until(world.now + 200 * SECOND);
        world.assert_laws();
    }

    #[test]
    fn the_same_if_each_caller_does_as_it_likes(
        (pace, burst) in paces(), calls in vec((0_u64..3_000, obeys()), 1..600),
    ) {
        let mut world = World::new(pace, burst);
        for (apart, obeys) in calls {
            world.until(world.now + pace.period * apart / 1_000);
            world.comes(obeys);
        }
        world.until(world.now + 200 * SECOND);
        world.assert_laws();
    }

    /// Callers that claim to return take the promises of others, but no more than the quota.
    #[test]
    fn the_quota_is_kept_and_nobody_waits_for_long_whatever_callers_claim(
        (pace, burst) in paces(), calls in vec((0_u64..2_000, any::<bool>()), 1..600),
    ) {
        let mut world = World::new(pace, burst);
        for (apart, returning) in calls {
            world.until(world.now + pace.period * apart / 1_000);
            world.ask(returning);
        }
        world.assert_laws();
    }

    /// As long as all promises that others took have cells within the grace.
    #[test]
    fn calls_that_come_again_for_another_reason_have_nobody_refused_who_was_promised_a_cell(
        period in 1_u64..20, burst in 1_u32..12, crowd in 1_u64..120, late in 0_u64..300,
        others in vec(0_u64..1_000, 0..12),
    ) {
        let quota = Quota::every(Duration::from_millis(period)).unwrap();
        let pace = Pace::new(quota.burst(burst).unwrap(), Duration::from_millis(250));
        let mut world = World::new(pace, burst);
        for _ in 0..crowd {
            world.comes(Obeys::Late(late));
        }
        let mut times: Vec<_> = others.iter().map(|at| at * pace.period * crowd / 1_000).collect();
        times.sort_unstable();
        let start = world.now;
        for at in times {
            world.until(start + at);
            // With any result: the caller may go away.
            world.ask(true);
        }
        world.until(world.now + 200 * SECOND);
        world.assert_laws();
    }

    /// As much as by a bucket without promises, except for the time until the first turns pass.
    #[test]
    fn nothing_is_lost_by_callers_that_do_not_come_again(
        (pace, burst) in paces(), apart in 50_u64..400, together in 1_u16..5,
        stray in vec(0_u64..200, 37),
    ) {
        let mut world = World::new(pace, burst);
        let mut plain = World::new(pace, burst);
        for number in 0..4_000_usize {
            let then = world.now + pace.period * (apart + stray[number % 37]) * u64::from(together) / 1_000;
            world.until(then);
            plain.until(then);
            for _ in 0..together {
                world.comes(Obeys::Never);
                plain.asks_for_no_promise();
            }
        }
        let [admitted, reachable] = [&world, &plain].map(|it| it.cells.len());
        let first = (pace.cell_kept / pace.period + 2) * 2;
        // With few callers admitted ahead of the line, one sometimes arrives between two turns.
        let share = if pace.most_ahead >= 8 { 95 } else { 90 };
        let least = reachable * share / 100 - usize::try_from(first).unwrap().min(reachable / 4);
        prop_assert!(admitted >= least, "{admitted} of {reachable}: {world:?}");
        world.assert_laws();
    }
}
