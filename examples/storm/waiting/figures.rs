//! The figures of those who waited, and what is promised of them.

use std::ops::RangeInclusive;
use std::time::Duration;

use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::series::Series;
use grpc_resilience_examples::show::table::Row;

use super::callers::RATE;
use super::{CALLS, DOWN, NAME, Run};

/// In seconds; the rate makes it one.
const SPREAD: RangeInclusive<f64> = 0.9..=1.3;
/// In 100 ms, half as many again as the rate makes it.
const FULLEST: u32 = RATE / 10 * 3 / 2;

/// What is told of a run.
pub(super) struct Figures {
    succeeded: u32,
    dials_while_down: u32,
    failed_dials: Option<u32>,
    dials: u32,
    connections: u32,
    first_arrival: Option<Duration>,
    spread: f64,
    fullest: u32,
    last_success: Option<Duration>,
}

impl Figures {
    pub(super) fn of(run: &Run) -> Self {
        let since_up = |at: Duration| at.saturating_sub(DOWN);
        let arrivals = &run.arrivals.attempts;
        Self {
            succeeded: run.record.succeeded(),
            dials_while_down: run.dials.within(Duration::ZERO..DOWN),
            failed_dials: run.failed_dials,
            dials: run.dials.total(),
            connections: run.arrivals.connections,
            first_arrival: arrivals.ends().map(|(first, _)| since_up(first)),
            spread: spread(arrivals),
            fullest: arrivals.fullest(),
            last_success: run.record.successes.ends().map(|(_, last)| since_up(last)),
        }
    }

    /// The schedule allows so many dials while nobody listens.
    pub(super) fn promises(&self, allowed: u32) -> Vec<Promise> {
        let promise =
            |promised: String, seen: String, kept| Promise::new(NAME, promised, seen, kept);
        let (dials, connections) = (self.dials_while_down, self.connections);
        vec![
            promise(
                "all callers that wait succeed".into(),
                format!("{} of {CALLS}", self.succeeded),
                self.succeeded == CALLS,
            ),
            promise(
                format!("at most the schedule's {allowed} dials before, and one after"),
                format!("{dials} and {}", self.dials.saturating_sub(dials)),
                dials <= allowed && self.dials <= allowed + 1,
            ),
            promise(
                "one connection for all".into(),
                connections.to_string(),
                connections == 1,
            ),
            promise(
                format!(
                    "{RATE} a second arrive over {} to {} s",
                    SPREAD.start(),
                    SPREAD.end()
                ),
                format!("{:.2} s", self.spread),
                SPREAD.contains(&self.spread),
            ),
            promise(
                format!("and no more than {FULLEST} of them in 100 ms"),
                self.fullest.to_string(),
                self.fullest <= FULLEST,
            ),
        ]
    }
}

/// From the first to the last, in seconds.
fn spread(arrivals: &Series) -> f64 {
    arrivals.ends().map_or(0.0, |(first, last)| {
        last.saturating_sub(first).as_secs_f64()
    })
}

/// The figures as rows of the table.
pub(super) const ROWS: [Row<Figures>; 9] = [
    ("calls: succeeded", |f| f.succeeded.to_string()),
    ("dials while nobody listens", |f| {
        f.dials_while_down.to_string()
    }),
    ("of these, as readiness() counts them", |f| {
        f.failed_dials
            .map_or_else(|| "-".into(), |dials| dials.to_string())
    }),
    ("dials in all", |f| f.dials.to_string()),
    ("connections that the server accepted", |f| {
        f.connections.to_string()
    }),
    ("first arrival after the server was up (ms)", |f| {
        millis(f.first_arrival)
    }),
    ("arrivals, from the first to the last (ms)", |f| {
        format!("{:.0}", f.spread * 1e3)
    }),
    ("arrivals in the fullest 100 ms", |f| f.fullest.to_string()),
    ("all succeeded after the server was up (ms)", |f| {
        millis(f.last_success)
    }),
];

fn millis(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".into(), |time| time.as_millis().to_string())
}
