//! The table and the JSON.

use std::collections::BTreeMap;

use grpc_resilience_examples::show::table::{Row, compare};
use serde::Serialize;

use crate::outcome::{Class, Outcome, Spread};

/// How to read the table.
const CAPTION: &str = "\
All clients use the same generated code. The leader serves; the two other nodes refuse each call with UNAVAILABLE, name the leader if
they know it, and say by gRPC's health protocol that they do not lead.

1 tonic: tonic's balanced channel, without retries. It picks a node without knowing which one leads.
2 tonic, loop: a loop around it that repeats declared calls on UNAVAILABLE until their deadline, with client 5's pauses.
3 tonic, health by hand: what raft-grpc-leader-rpc advises. A task for each node watches its health and puts it into tonic's balanced
  channel only while it leads; five retries of 100 ms doubling on UNAVAILABLE and RESOURCE_EXHAUSTED, of all methods.
4 layers over tonic: the layers of client 5 over tonic's balanced channel. Their retry budget expects most attempts to
  succeed: where two of three are refused it is empty soon, and most declared calls fail with their first refusal.
5 grpc-resilience: the README's lines, below.
The exit code says whether client 5 kept the promises in the last table.

calls: each of the workers makes its next call when the last one has ended, for as long as the kills take. A client
  whose calls fail at once makes more calls in an outage; one whose calls wait for the next leader makes fewer.
declared: Put and Get, which may run twice. Attempts are the requests that were handed to the channel.
undeclared: Append, which must not run twice. A call that was in flight on a killed node may have run: no client may
  repeat it, and its failure is the promise kept. \"Elsewhere\" are all other failures. Only client 5 knows which node had
  a call; the calls of the others count for the killed node if they were in flight when it died.
begun more than once: calls that got past the check whether the node leads, more than once.
latencies: of all calls, failed ones too. Each call has a deadline of 5 s.
leaderless gap: from the kill to the election of the next leader, which no client can shorten.
leaders that stepped down alive: on a busy machine their heartbeats come too late, and the cluster is without a leader
  more often, and for longer, than the kills make it.
first success after an election: from the moment when the next node is elected.
acknowledged writes: Puts and Appends that were answered OK. None may be missing on any node at the end.
applied more than once: repeated Puts, which are declared, and Appends, which must be 0.";

/// What a run of one seed prints with `--json`.
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
        let title = format!(
            "{} kills, {} workers, seed {}",
            self.kills, self.workers, self.seed
        );
        let columns: Vec<_> = self.clients.iter().map(|it| (it.client, it)).collect();
        println!("{}", compare(&title, &columns, &rows()));
    }
}

pub(crate) fn print_caption() {
    println!("{CAPTION}\n\nClient 5:\n\n{}", crate::readme::settings());
}

fn rows<'a>() -> [Row<&'a Outcome>; 19] {
    [
        ("calls", |o| o.calls.to_string()),
        ("declared: calls", |o| o.declared.calls.to_string()),
        ("declared: failed", |o| failures(&o.declared)),
        ("declared: attempts per call", |o| {
            format!("{:.3}", o.declared.attempts_per_call)
        }),
        ("declared: longest (ms)", |o| {
            format!("{:.0}", o.declared.longest_ms)
        }),
        ("declared: longest while there was a leader (ms)", |o| {
            format!("{:.0}", o.longest_under_a_leader_ms)
        }),
        ("undeclared: calls", |o| o.undeclared.calls.to_string()),
        ("undeclared: failed", |o| failures(&o.undeclared)),
        ("undeclared: failed on the killed node / elsewhere", |o| {
            format!(
                "{} / {}",
                o.undeclared_failed_on_killed, o.undeclared_failed_elsewhere
            )
        }),
        ("undeclared: attempts per call", |o| {
            format!("{:.3}", o.undeclared.attempts_per_call)
        }),
        ("undeclared: begun more than once", |o| {
            o.undeclared_begun_more_than_once.to_string()
        }),
        ("p50 / p99 (ms)", |o| {
            format!("{:.1} / {:.1}", o.p50_ms, o.p99_ms)
        }),
        ("longest call (ms)", |o| format!("{:.0}", o.longest_call_ms)),
        ("leaderless gap, median / worst (ms)", |o| {
            spread(o.leaderless_ms)
        }),
        ("leaders that stepped down alive", |o| {
            o.leaders_that_stepped_down.to_string()
        }),
        (
            "first success after an election, median / worst (ms)",
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
    ]
}

fn spread(spread: Spread) -> String {
    format!("{:.1} / {:.1}", spread.median, spread.worst)
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
