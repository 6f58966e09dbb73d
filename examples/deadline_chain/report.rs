//! The figures as tables, and whether they are as they should be.

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Table, Width};
use tokio::time::Instant;

use crate::chain::Run;
use crate::link::Seen;

const NAMES: [&str; 3] = ["A", "B", "C"];
/// So late C may stop.
const LATEST: f64 = 50.0;

/// Each run, then the least, the middle and the most of all; times are milliseconds.
pub(crate) fn figures(runs: &[Run]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "run",
        "A received",
        "B received",
        "C received",
        "C ended",
        "B ended",
        "A ended",
        "caller ended",
        "tasks before",
        "after",
    ]);
    for (number, run) in runs.iter().enumerate() {
        let times = times(run).map(|time| time.map_or_else(|| "none".into(), text));
        let tasks = [run.tasks_before, run.tasks_after].map(|count| count.to_string());
        table.add_row(
            [(number + 1).to_string()]
                .into_iter()
                .chain(times)
                .chain(tasks),
        );
    }
    let columns: Vec<_> = (0..7).map(|column| sorted(runs, column)).collect();
    let pick = |at: fn(&[f64]) -> Option<&f64>| {
        let picked = columns.iter().map(move |column| at(column).copied());
        picked.map(|time| time.map_or_else(String::new, text))
    };
    let rows = [
        ("min", pick(<[f64]>::first)),
        ("median", pick(|column| column.get(column.len() / 2))),
        ("max", pick(<[f64]>::last)),
    ];
    for (name, row) in rows {
        table.add_row([name.to_owned()].into_iter().chain(row));
    }
    table
}

/// What was heard on the way in one run.
pub(crate) fn heard(run: &Run) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["who", "code that its own call ended with", "message"]);
    let hops = NAMES.iter().zip(&run.hops).rev();
    let hops = hops.map(|(name, seen)| (*name, seen.as_ref().and_then(|it| it.heard.as_ref())));
    for (name, heard) in hops.chain([("caller", run.heard.as_ref())]) {
        let none = match name {
            "C" => "(it made none: it worked until it was stopped)",
            "caller" => "(it dropped its call)",
            _ => "(it was stopped first)",
        };
        let (code, message) = heard.map_or_else(
            || (String::new(), none),
            |(code, message)| (code.to_string(), message.as_str()),
        );
        table.add_row([name, &code, message]);
    }
    if let Some(message) = table.column_mut(2) {
        message.set_constraint(comfy_table::ColumnConstraint::UpperBoundary(Width::Fixed(
            80,
        )));
    }
    table
}

/// What is not as it should be.
pub(crate) fn surprises(runs: &[Run]) -> Vec<String> {
    let mut surprises = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let mut found = |what: String| surprises.push(format!("run {}: {what}", number + 1));
        let received = run.hops.each_ref().map(|seen| timeout(seen.as_ref()));
        if !received.is_sorted_by(|one, next| matches!((one, next), (Some(a), Some(b)) if a > b)) {
            found(format!("the timeouts do not fall: {received:?}"));
        }
        for (name, seen) in NAMES.iter().zip(&run.hops) {
            match seen.as_ref().map(|seen| since(seen.ended, run.at)) {
                None => found(format!("{name} did not stop")),
                Some(late) if late > LATEST => found(format!("{name} stopped {late:.1} ms late")),
                Some(_) => {}
            }
        }
        if run.tasks_after > run.tasks_before {
            found(format!(
                "{} tasks became {}",
                run.tasks_before, run.tasks_after
            ));
        }
    }
    surprises
}

/// In the order of the columns.
fn times(run: &Run) -> [Option<f64>; 7] {
    let [a, b, c] = run.hops.each_ref().map(|seen| {
        let ended = seen.as_ref().map(|seen| since(seen.ended, run.at));
        (timeout(seen.as_ref()).map(millis), ended)
    });
    let caller = Some(since(run.ended, run.at));
    [a.0, b.0, c.0, c.1, b.1, a.1, caller]
}

fn timeout(seen: Option<&Seen>) -> Option<Duration> {
    seen.and_then(|seen| seen.timeout)
}

fn sorted(runs: &[Run], column: usize) -> Vec<f64> {
    let times = runs.iter().filter_map(|run| *times(run).get(column)?);
    let mut times: Vec<_> = times.collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Negative is before.
fn since(instant: Instant, at: Instant) -> f64 {
    millis(instant.saturating_duration_since(at)) - millis(at.saturating_duration_since(instant))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn text(time: f64) -> String {
    format!("{time:.2}")
}
