//! The figures of an outage, and what is promised of them.

use std::ops::Range;
use std::time::Duration;

use super::{NAME, PER_SECOND, SECOND, Timeline};
use crate::load::Load;
use crate::trial::Run;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::series::{BUCKET, ratio};
use grpc_resilience_examples::show::table::{Row, counts};

const MOST_ATTEMPTS: f64 = 1.02;
const MOST_ATTEMPTS_AT_FIRST: f64 = 1.1;
const HIGHEST_SPIKE: f64 = 1.5;
const LATEST_FULL_RATE: Duration = SECOND;
/// Of the offered rate: a call that ends in the next 100 ms is no failure.
const FULL_RATE: f64 = 0.98;

/// What is told of a run.
pub(super) struct Figures {
    rate: f64,
    latest_start: Duration,
    calls: u32,
    failed: u32,
    failed_after: u32,
    attempts: u32,
    attempts_per_call: f64,
    attempts_at_first: f64,
    spike_in_outage: f64,
    spike_at_recovery: f64,
    full_rate_after: Option<Duration>,
    ok_after: f64,
    by_previous: String,
    by_attempt: String,
}

impl Figures {
    pub(super) fn of(run: &Run, timeline: Timeline) -> Self {
        let Timeline {
            outage,
            recovery,
            end,
        } = timeline;
        let Run {
            record, arrivals, ..
        } = run;
        let settled = recovery + LATEST_FULL_RATE..end;
        let attempts_per_call = |time: Range<Duration>| {
            ratio(
                arrivals.attempts.within(time.clone()),
                record.started.within(time),
            )
        };
        Self {
            rate: record.rate(),
            latest_start: record.latest_start(),
            calls: record.calls(),
            failed: record.failed(),
            failed_after: record.failed_of(recovery..end),
            attempts: arrivals.attempts.total(),
            attempts_per_call: attempts_per_call(outage..recovery),
            attempts_at_first: attempts_per_call(outage..outage + SECOND),
            spike_in_outage: spike(run, outage..recovery),
            spike_at_recovery: spike(run, recovery..recovery + SECOND),
            full_rate_after: full_rate(run, recovery..end),
            ok_after: 1.0
                - ratio(
                    record.failed_of(settled.clone()),
                    record.started.within(settled),
                ),
            by_previous: counts(&arrivals.by_previous),
            by_attempt: counts(&arrivals.by_attempt),
        }
    }

    pub(super) fn promises(&self) -> Vec<Promise> {
        let promise =
            |promised: String, seen: String, kept| Promise::new(NAME, promised, seen, kept);
        let back = self.full_rate_after;
        vec![
            Promise::offered(NAME, self.rate, PER_SECOND),
            promise(
                format!("at most {MOST_ATTEMPTS} attempts per call over 5 s"),
                format!("{:.3}", self.attempts_per_call),
                self.attempts_per_call <= MOST_ATTEMPTS,
            ),
            promise(
                format!("at most {MOST_ATTEMPTS_AT_FIRST} in the first second"),
                format!("{:.3}", self.attempts_at_first),
                self.attempts_at_first <= MOST_ATTEMPTS_AT_FIRST,
            ),
            promise(
                "the full rate of successes within 1 s of recovery".into(),
                seconds(back),
                back.is_some_and(|after| after <= LATEST_FULL_RATE),
            ),
            promise(
                "and of the calls after that at least 98 % succeed".into(),
                format!("{:.2} %", 100.0 * self.ok_after),
                self.ok_after >= FULL_RATE,
            ),
            promise(
                format!("no spike above {HIGHEST_SPIKE}x the offered rate at recovery"),
                format!("{:.2}x", self.spike_at_recovery),
                self.spike_at_recovery <= HIGHEST_SPIKE,
            ),
        ]
    }
}

/// The figures as rows of the table.
pub(super) const ROWS: [Row<Figures>; 12] = [
    ("calls offered, per second", |f| format!("{:.0}", f.rate)),
    ("latest start of a call (ms)", |f| {
        format!("{:.0}", f.latest_start.as_secs_f64() * 1e3)
    }),
    ("calls: failed of all", |f| {
        format!("{} of {}", f.failed, f.calls)
    }),
    ("calls: failed after the outage", |f| {
        f.failed_after.to_string()
    }),
    ("attempts", |f| f.attempts.to_string()),
    ("attempts per call in the outage", |f| {
        format!("{:.3}", f.attempts_per_call)
    }),
    ("attempts per call in its first second", |f| {
        format!("{:.3}", f.attempts_at_first)
    }),
    ("spike in the outage", |f| {
        format!("{:.2}x", f.spike_in_outage)
    }),
    ("spike in the second after it", |f| {
        format!("{:.2}x", f.spike_at_recovery)
    }),
    ("full rate of successes back after", |f| {
        seconds(f.full_rate_after)
    }),
    ("attempts by which of its call's it was", |f| {
        f.by_attempt.clone()
    }),
    ("attempts by grpc-previous-rpc-attempts", |f| {
        f.by_previous.clone()
    }),
];

fn seconds(after: Option<Duration>) -> String {
    after.map_or_else(
        || "never".into(),
        |after| format!("{:.1} s", after.as_secs_f64()),
    )
}

/// The fullest bucket, over the calls offered in it: those that were planned, or those that really
/// started if the machine had stalled and they are more.
fn spike(run: &Run, time: Range<Duration>) -> f64 {
    let starts = run.record.started.each(time.clone());
    let attempts = run.arrivals.attempts.each(time);
    attempts
        .zip(starts)
        .map(|((_, attempts), (_, started))| ratio(attempts, started.max(planned())))
        .fold(0.0, f64::max)
}

/// How long it took to the end of the first bucket with the full rate of successes.
fn full_rate(run: &Run, time: Range<Duration>) -> Option<Duration> {
    let mut buckets = run.record.successes.each(time.clone());
    let full = buckets.find(|(_, successes)| ratio(*successes, planned()) >= FULL_RATE);
    full.map(|(at, _)| (at + BUCKET).saturating_sub(time.start))
}

/// Calls in a bucket.
fn planned() -> u32 {
    let load = Load {
        per_second: PER_SECOND,
        length: BUCKET,
    };
    load.calls()
}
