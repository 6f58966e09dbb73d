use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::rules::{Record, Rules, Why};
use super::term;

/// Which endpoints are ejected, and since when: the decisions, without the endpoints.
#[derive(Debug)]
pub(crate) struct Ejections {
    rules: Rules,
    /// Those that were ejected at least once, by number.
    known: FxHashMap<u64, Known>,
    /// All ready endpoints fail or are ejected.
    is_panic: bool,
    /// When to look whether they still do.
    look_again: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    place: Place,
    /// Since when it is in the set, or out of it.
    since: Instant,
    /// Ejections in a row.
    times: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    InSet,
    Out {
        until: Instant,
    },
    /// The time is over, and a call is to decide.
    Probing,
}

/// What is seen of an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) number: u64,
    pub(crate) is_ready: bool,
    /// No connection can be made, or its server is not healthy: it gets no call, ejected or not.
    pub(crate) is_down: bool,
    /// It was connected, now or before.
    pub(crate) was_ready: bool,
    pub(crate) record: Record,
    /// What the call that probed has shown.
    pub(crate) verdict: Option<bool>,
}

/// What is to be done, and said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    Ejected(Ejected),
    /// One call may go there.
    Probing {
        number: u64,
        was_out: Duration,
    },
    Returned {
        number: u64,
        why: Back,
        was_out: Duration,
    },
    /// The call that probed failed.
    OutAgain {
        number: u64,
        times: u32,
        lasts: Duration,
    },
    /// All ready endpoints fail or are ejected, so all are used; or that is over.
    Panic {
        is_on: bool,
        ready: usize,
        ejected: usize,
        failing: usize,
    },
}

/// An endpoint that is ejected now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ejected {
    pub(crate) number: u64,
    pub(crate) why: Why,
    pub(crate) record: Record,
    /// The rate of failures of the endpoint that it was compared with.
    pub(crate) better_rate: f64,
    pub(crate) times: u32,
    pub(crate) lasts: Duration,
    /// How many are ejected now, of how many that may be.
    pub(crate) out: usize,
    pub(crate) most: usize,
}

/// Why an endpoint is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Back {
    /// The call that probed went well.
    Probed,
    /// There are fewer endpoints now, and too many of them were ejected.
    TooMany,
}

/// How often it is looked whether a panic is over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Ejections {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            known: FxHashMap::default(),
            is_panic: false,
            look_again: None,
        }
    }

    /// Whether calls may go there.
    pub(crate) fn lets_in(&self, number: u64) -> bool {
        self.is_panic || !self.has(number)
    }

    /// It is removed, and loses its past (CONTRACT O5).
    pub(crate) fn forget(&mut self, number: u64) {
        self.known.remove(&number);
    }

    /// Whether it is out of the set.
    fn has(&self, number: u64) -> bool {
        let known = self.known.get(&number);
        known.is_some_and(|it| it.place != Place::InSet)
    }

    pub(crate) fn is_probing(&self, number: u64) -> bool {
        let known = self.known.get(&number);
        known.is_some_and(|it| it.place == Place::Probing)
    }

    /// Whether a change of any endpoint matters.
    pub(crate) fn is_active(&self) -> bool {
        self.is_panic || self.known.values().any(|it| it.place != Place::InSet)
    }

    /// When something is to be done, if nothing happens before.
    pub(crate) fn due(&self) -> Option<Instant> {
        let ends = self.known.values().filter_map(|it| match it.place {
            Place::Out { until } => Some(until),
            Place::InSet | Place::Probing => None,
        });
        ends.chain(self.look_again).min()
    }

    /// Decides about all endpoints; `millis` is `now` by the clock of their records, and `unit`
    /// draws random numbers in `[0, 1)`.
    pub(crate) fn pass(
        &mut self,
        all: &[Seen],
        now: Instant,
        millis: u64,
        mut unit: impl FnMut() -> f64,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        self.end_terms(all, now, &mut unit, &mut steps);
        self.return_beyond_most(all, now, &mut steps);
        self.eject(all, now, &mut unit, &mut steps);
        self.panic(all, now, millis, &mut steps);
        steps
    }

    /// Ends the ejections whose time is over, and those that a call has probed.
    fn end_terms(
        &mut self,
        all: &[Seen],
        now: Instant,
        unit: &mut impl FnMut() -> f64,
        steps: &mut Vec<Step>,
    ) {
        for seen in all {
            let Some(known) = self.known.get_mut(&seen.number) else {
                continue;
            };
            let number = seen.number;
            match (known.place, seen.verdict) {
                (Place::Probing, Some(true)) => {
                    steps.push(known.back(number, Back::Probed, now));
                }
                (Place::Probing, Some(false)) => {
                    known.times = known.times.saturating_add(1);
                    let lasts = self.rules.lasts(known.times, unit());
                    known.place = out(now, lasts);
                    steps.push(Step::OutAgain {
                        number,
                        times: known.times,
                        lasts,
                    });
                }
                (Place::Out { until }, _) if until <= now => {
                    known.place = Place::Probing;
                    let was_out = now.saturating_duration_since(known.since);
                    steps.push(Step::Probing { number, was_out });
                }
                _ => {}
            }
        }
    }

    /// If there are fewer endpoints than before, those that were to come back first do (CONTRACT
    /// O4).
    fn return_beyond_most(&mut self, all: &[Seen], now: Instant, steps: &mut Vec<Step>) {
        while self.count(all) > self.most(all) {
            let out = all.iter().filter(|it| self.takes_place(it));
            let next = out.min_by_key(|it| {
                let place = self.known.get(&it.number).map(|it| it.place);
                match place {
                    Some(Place::Out { until }) => until,
                    _ => now,
                }
            });
            let Some(number) = next.map(|it| it.number) else {
                return;
            };
            if let Some(known) = self.known.get_mut(&number) {
                steps.push(known.back(number, Back::TooMany, now));
            }
        }
    }

    fn eject(
        &mut self,
        all: &[Seen],
        now: Instant,
        unit: &mut impl FnMut() -> f64,
        steps: &mut Vec<Step>,
    ) {
        // Its connection may have been lost by the last failure.
        let in_set = all.iter().filter(|it| it.was_ready && !self.has(it.number));
        let in_set = in_set.filter(|it| !is_back(steps, it.number));
        let broken = in_set.filter(|it| self.rules.broken_by(&it.record).is_some());
        let mut broken: Vec<_> = broken.collect();
        // The worst one first: the next may be one too many.
        broken.sort_by(|a, b| {
            let key = |it: &Seen| (it.record.rate(), f64::from(it.record.in_a_row));
            key(b)
                .partial_cmp(&key(a))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        for seen in broken {
            if self.count(all) >= self.most(all) {
                return;
            }
            let Some((why, better_rate)) = self.outlier(seen, all) else {
                continue;
            };
            let (times, lasts) = self.put_out(seen.number, now, unit());
            steps.push(Step::Ejected(Ejected {
                number: seen.number,
                why,
                record: seen.record,
                better_rate,
                times,
                lasts,
                out: self.count(all),
                most: self.most(all),
            }));
        }
    }

    /// Whether it is the endpoint that is to blame: by which rule, and the lowest rate of failures
    /// of those that are better.
    fn outlier(&self, seen: &Seen, all: &[Seen]) -> Option<(Why, f64)> {
        let others = || {
            let others = all.iter().filter(|it| it.number != seen.number);
            others.filter(|it| it.is_ready && !self.has(it.number))
        };
        // One that fails in a row fails at a high rate, too, and others may have failed once since.
        self.rules.all_broken_by(&seen.record).find_map(|why| {
            let better = others().filter(|it| self.rules.is_better(&it.record, &seen.record, why));
            let rate = better.map(|it| it.record.rate()).min_by(f64::total_cmp)?;
            Some((why, rate))
        })
    }

    fn put_out(&mut self, number: u64, now: Instant, unit: f64) -> (u32, Duration) {
        let known = self.known.entry(number).or_insert(Known {
            place: Place::InSet,
            since: now,
            times: 0,
        });
        let stayed = now.saturating_duration_since(known.since);
        known.times = term::next(known.times, stayed);
        let lasts = self.rules.lasts(known.times, unit);
        (known.place, known.since) = (out(now, lasts), now);
        (known.times, lasts)
    }

    /// Says if all ready endpoints fail or are ejected, and if that is over (CONTRACT L8).
    fn panic(&mut self, all: &[Seen], now: Instant, millis: u64, steps: &mut Vec<Step>) {
        let ready = all.iter().filter(|it| it.is_ready);
        let (out, in_set): (Vec<_>, Vec<_>) = ready.partition(|it| self.has(it.number));
        let is_failing = |it: &&&Seen| match self.rules.broken_by(&it.record) {
            _ if is_back(steps, it.number) => false,
            Some(Why::InARow) => it.record.is_recent(millis),
            // It answers some calls, and those that are ejected may answer none.
            Some(Why::Rate) => out.is_empty(),
            None => false,
        };
        let failing = in_set.iter().filter(is_failing).count();
        let (ready, ejected) = (out.len() + in_set.len(), out.len());
        let is_on = failing == in_set.len() && (ready > 1 || ejected > 0);
        self.look_again = (is_on && failing > 0).then(|| now + LOOK_AGAIN);
        if std::mem::replace(&mut self.is_panic, is_on) != is_on {
            steps.push(Step::Panic {
                is_on,
                ready,
                ejected,
                failing,
            });
        }
    }

    /// How many places of those that may be ejected are taken.
    fn count(&self, all: &[Seen]) -> usize {
        all.iter().filter(|it| self.takes_place(it)).count()
    }

    /// Without its ejection it would get calls. One whose connection is being replaced will do so
    /// in a moment.
    fn takes_place(&self, seen: &Seen) -> bool {
        self.has(seen.number) && !seen.is_down
    }

    /// How many may be.
    fn most(&self, all: &[Seen]) -> usize {
        let connected = all.iter().filter(|it| it.was_ready).count();
        self.rules.most_of(connected)
    }
}

/// Whether it came back just now: what it did before it was ejected says nothing of now.
fn is_back(steps: &[Step], number: u64) -> bool {
    let is_it =
        |step: &Step| matches!(step, Step::Returned { number: back, .. } if *back == number);
    steps.iter().any(is_it)
}

fn out(now: Instant, lasts: Duration) -> Place {
    let until = now.checked_add(lasts).unwrap_or(now);
    Place::Out { until }
}

impl Known {
    fn back(&mut self, number: u64, why: Back, now: Instant) -> Step {
        let was_out = now.saturating_duration_since(self.since);
        (self.place, self.since) = (Place::InSet, now);
        Step::Returned {
            number,
            why,
            was_out,
        }
    }
}

#[cfg(test)]
#[path = "ejections_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "ejections_tests_places.rs"]
mod tests_places;

#[cfg(test)]
#[path = "ejections_laws.rs"]
mod laws;
