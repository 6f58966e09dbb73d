//! How the measured is shown.

use std::iter::zip;

use benches::document::{table, whole};
use benches::plot::{self, Bar};
use benches::{Failure, rounds};

use crate::subjects::{BARE, OURS};
use crate::turn::{Load, Turn};

/// What a subject found, in the middle of its rounds.
pub(crate) struct Measured {
    name: &'static str,
    median: Turn,
    /// Of the calls a second of the bare channel, in the middle of the ratios of each round.
    of_bare: f64,
    /// The p50 on top of the bare channel's, in the middle of the differences of each round.
    over_bare: f64,
}

impl Measured {
    /// Of all turns by subject; the first one is the bare channel.
    pub(crate) fn all(turns: &[(&'static str, Vec<Turn>)]) -> Vec<Self> {
        let bare = turns.first().map(|(_, turns)| turns.as_slice());
        let bare = bare.unwrap_or_default();
        let of = |(name, turns): &(&'static str, Vec<Turn>)| Self::new(name, turns, bare);
        turns.iter().map(of).collect()
    }

    fn new(name: &'static str, turns: &[Turn], bare: &[Turn]) -> Self {
        let median = |value: fn(&Turn) -> f64| rounds::median(turns.iter().map(value));
        let ratio = |(turn, bare): (&Turn, &Turn)| turn.calls_a_second / bare.calls_a_second;
        let difference = |(turn, bare): (&Turn, &Turn)| turn.p50 - bare.p50;
        Self {
            name,
            median: Turn {
                calls_a_second: median(|turn| turn.calls_a_second),
                p50: median(|turn| turn.p50),
                p99: median(|turn| turn.p99),
            },
            of_bare: rounds::median(zip(turns, bare).map(ratio)),
            over_bare: rounds::median(zip(turns, bare).map(difference)),
        }
    }

    fn row(&self, load: Load) -> [String; 8] {
        let (promised, kept) = self.promise(load);
        [
            self.name.to_owned(),
            whole(self.median.calls_a_second),
            format!("{:.3}", self.of_bare),
            whole(self.median.p50),
            if self.name == BARE {
                String::new()
            } else {
                tenths(self.over_bare)
            },
            whole(self.median.p99),
            promised,
            kept,
        ]
    }

    /// What was promised of it, if anything, and whether it is kept.
    fn promise(&self, load: Load) -> (String, String) {
        if self.name != OURS {
            return Default::default();
        }
        let (promised, is_kept) = if load.at_once == 1 {
            (
                format!("at most +{MOST_OVER} us"),
                self.over_bare <= MOST_OVER,
            )
        } else {
            (format!("at least {LEAST_OF}"), self.of_bare >= LEAST_OF)
        };
        let kept = if is_kept { "kept" } else { "BROKEN" };
        (promised, kept.into())
    }
}

/// Without a minus before a 0.
fn tenths(number: f64) -> String {
    format!("{:.1}", (number * 10.0).round() / 10.0 + 0.0)
}

/// What the stack is promised to leave of the bare channel's calls a second, of many calls at once.
const LEAST_OF: f64 = 0.97;
/// And to add to its p50 at most, in microseconds, of one call at a time.
const MOST_OVER: f64 = 3.0;

pub(crate) fn of(load: Load, measured: &[Measured]) -> String {
    let title = load.title();
    let header = [
        title.as_str(),
        "calls/s",
        "of bare",
        "p50 us",
        "over bare",
        "p99 us",
        "promised",
        "",
    ];
    table(header, measured.iter().map(|one| one.row(load)))
}

/// The calls a second under each load, then the latencies under each.
pub(crate) fn plots(all: &[(Load, Vec<Measured>)]) -> Result<(), Failure> {
    let loads = || zip(all, 0..);
    let shares = loads().map(|((load, measured), kind)| {
        let share = |one: &Measured| 100.0 * one.of_bare;
        bars(&load.title(), kind, measured, share)
    });
    let title = "Calls a second over loopback, in % of the bare channel's";
    plot::bars("wire-calls", title, &alternating(shares.collect()))?;
    for (load, measured) in all {
        let p50 = bars("p50", 0, measured, |one| one.median.p50);
        let p99 = bars("p99", 1, measured, |one| one.median.p99);
        let title = format!(
            "Microseconds that a call takes over loopback, {}",
            load.title()
        );
        let name = format!("wire-latency-{}", load.at_once);
        plot::bars(&name, &title, &alternating(vec![p50, p99]))?;
    }
    Ok(())
}

fn bars(what: &str, kind: usize, measured: &[Measured], value: fn(&Measured) -> f64) -> Vec<Bar> {
    let bar = |one: &Measured| Bar {
        label: format!("{}: {what}", one.name),
        value: value(one),
        kind,
    };
    measured.iter().map(bar).collect()
}

/// One of each, then the next of each.
fn alternating(groups: Vec<Vec<Bar>>) -> Vec<Bar> {
    let mut groups: Vec<_> = groups.into_iter().map(Vec::into_iter).collect();
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(groups.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            return all;
        }
    }
}
