//! The table, the JSON, and the verdict on clients 4 and 5.

use std::collections::BTreeMap;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;

use crate::outcome::{Class, Outcome, Spread};

/// What a reader asks of the clients and the figures.
const CAPTION: &str = "\
All clients use the same generated code, clients 1 to 4 over the same balanced channel of tonic. Two of the three nodes
refuse each call with UNAVAILABLE, since they do not lead, and the channel picks a node without knowing which one leads.

1 tonic: no retries.
2 tonic, retry by hand: a loop that repeats declared calls on UNAVAILABLE until their deadline, with the pauses of
  client 4. It is told nothing of connections, so it neither waits for a dial nor repeats what never left.
3 grpc-resilience, README: the set-up that the README shows. Its retry budget expects most attempts to succeed. Where
  two of three are refused the budget is empty soon, and most declared calls fail with their first refusal.
4 grpc-resilience, tuned: the settings below.
5 grpc-resilience, own channel: the same policy over this crate's channel to the same three addresses. The channel waits
  for connections itself, and a retry goes to a node at which the call has not failed yet.
The exit code of this program says whether clients 4 and 5 kept their promises: no declared call failed, no
acknowledged write is missing, no undeclared call reached a server twice.

calls: each of the workers makes its next call when the last one has ended, for as long as the kills take. A client
  whose calls fail at once makes more calls in an outage; one whose calls wait for the next leader makes fewer.
declared: Put and Get, which may run twice. Attempts are the requests that were handed to the channel.
undeclared: Append, which no client may repeat once it may have run. Its failures are the promise kept. More than one
  attempt per call means that the first ones provably never ran.
latencies: of all calls, failed ones too. Each call has a deadline of 5 s.
leaderless gap: from the kill to the election of the next leader, which no client can shorten.
first success after a leader exists: how long the client takes to notice.
acknowledged writes: Puts and Appends that were answered OK. None may be missing on any node at the end.
applied more than once: repeated Puts, which are declared, and Appends, which must be 0.";

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
        println!(
            "\nThe settings of client 4:\n\n{}",
            crate::tuned::settings()
        );
        println!("\nThose of client 5:\n\n{}", crate::own::settings());
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

/// What client 4 or 5 promised and did not keep.
pub(crate) fn broken_promises(client: &Outcome) -> Vec<String> {
    let promises = [
        (client.declared.failed, "calls of declared methods failed"),
        (
            client.acknowledged_writes_missing as u64,
            "acknowledged writes are missing on a node",
        ),
        (
            client.undeclared_reached_a_server_more_than_once as u64,
            "calls of the undeclared method reached a server more than once",
        ),
    ];
    promises
        .into_iter()
        .filter(|(times, _)| *times > 0)
        .map(|(times, what)| format!("{}: {times} {what}", client.client))
        .collect()
}
