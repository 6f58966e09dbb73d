//! The table, the JSON, and the verdict on client 3.

use std::collections::BTreeMap;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;

use crate::outcome::{Class, Outcome, Spread};

const CAPTION: &str = "\
declared: Put and Get. undeclared: Append, which no client may repeat; a careful user does not either, so the recipe
leaves it alone, and its failures are the promise kept. Latencies are of all calls, failed ones too. Attempts are
what was handed to the transport. Each call has a deadline of 5 s.";

/// Everything a run prints with `--json`.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) kills: u32,
    pub(crate) workers: u32,
    pub(crate) seed: u64,
    pub(crate) clients: Vec<Outcome>,
    pub(crate) broken_promises: Vec<String>,
}

impl Report {
    pub(crate) fn print_table(&self) {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(
            [format!(
                "{} kills, {} workers, seed {}",
                self.kills, self.workers, self.seed
            )]
            .into_iter()
            .chain(self.clients.iter().map(|outcome| outcome.client.to_owned())),
        );
        for (name, show) in ROWS {
            let figures = self
                .clients
                .iter()
                .map(|outcome| Cell::new(show(outcome)).set_alignment(CellAlignment::Right));
            table.add_row(std::iter::once(Cell::new(name)).chain(figures));
        }
        println!("{table}\n{CAPTION}");
    }
}

type Row = (&'static str, fn(&Outcome) -> String);

const ROWS: [Row; 15] = [
    ("calls", |o| o.calls.to_string()),
    ("declared: calls", |o| o.declared.calls.to_string()),
    ("declared: failed", |o| failures(&o.declared)),
    ("declared: attempts per call", |o| {
        format!("{:.2}", o.declared.attempts_per_call)
    }),
    ("undeclared: calls", |o| o.undeclared.calls.to_string()),
    ("undeclared: failed, not repeated", |o| {
        failures(&o.undeclared)
    }),
    ("undeclared: attempts per call", |o| {
        format!("{:.2}", o.undeclared.attempts_per_call)
    }),
    ("undeclared: reached a server more than once", |o| {
        o.undeclared_reached_a_server_more_than_once.to_string()
    }),
    ("p50 / p99 (ms)", |o| {
        format!("{:.1} / {:.1}", o.p50_ms, o.p99_ms)
    }),
    ("longest call (ms)", |o| format!("{:.0}", o.longest_call_ms)),
    ("leaderless gap, median / worst (ms)", |o| {
        spread(o.leaderless_ms)
    }),
    (
        "first success after a leader exists, median / worst (ms)",
        |o| spread(o.first_success_after_election_ms),
    ),
    ("acknowledged writes", |o| o.acknowledged_writes.to_string()),
    ("acknowledged writes missing on any node", |o| {
        o.acknowledged_writes_missing.to_string()
    }),
    ("writes applied more than once: puts / appends", |o| {
        format!(
            "{} / {}",
            o.puts_applied_more_than_once, o.undeclared_applied_more_than_once
        )
    }),
];

fn spread(spread: Spread) -> String {
    format!("{:.0} / {:.0}", spread.median, spread.worst)
}

fn failures(class: &Class) -> String {
    let share = |failed: u64, calls: u64| failed * 1000 / calls.max(1);
    let permille = share(class.failed, class.calls);
    let total = format!("{} ({}.{} %)", class.failed, permille / 10, permille % 10);
    std::iter::once(total)
        .chain(by_code(&class.failed_by_code))
        .collect::<Vec<_>>()
        .join("\n")
}

fn by_code(failed: &BTreeMap<String, u64>) -> impl Iterator<Item = String> {
    failed.iter().map(|(code, times)| format!("{code} {times}"))
}

/// What client 3 promised and did not keep.
pub(crate) fn broken_promises(resilient: &Outcome) -> Vec<String> {
    let promises = [
        (
            resilient.declared.failed,
            "calls of declared methods failed",
        ),
        (
            resilient.acknowledged_writes_missing as u64,
            "acknowledged writes are missing on a node",
        ),
        (
            resilient.undeclared_reached_a_server_more_than_once as u64,
            "calls of the undeclared method reached a server more than once",
        ),
    ];
    promises
        .into_iter()
        .filter(|(times, _)| *times > 0)
        .map(|(times, what)| format!("{}: {times} {what}", resilient.client))
        .collect()
}
