//! What this crate promises of client 5, and whether a run kept it.

use grpc_resilience_examples::show::promise::Promise;

use crate::down::{DEADLINE, Down};
use crate::outcome::Outcome;

/// With fewer calls the figures mean nothing.
const DECLARED_CALLS_PER_KILL: u64 = 1_000;
const LONGEST_CALL_MS: f64 = 2_000.0;
const ATTEMPTS_PER_CALL: f64 = 1.05;
const FIRST_SUCCESS_MEDIAN_MS: f64 = 10.0;
const FIRST_SUCCESS_WORST_MS: f64 = 150.0;
const AROUND_DEADLINE_MS: f64 = 20.0;
const FAIL_FAST_MS: f64 = 50.0;

/// The promises about a run of client 5.
pub(crate) fn promises(outcome: &Outcome, kills: u32, seed: u64) -> Vec<Promise> {
    let part = |part: &str| format!("seed {seed}: {part}");
    let none = |name: &str, count: u64| {
        let promised = part(&format!("no {name}"));
        Promise::new("kills", promised, count.to_string(), count == 0)
    };
    let at_most = |name: &str, most: f64, seen: f64| {
        let promised = part(&format!("{name} at most {most}"));
        Promise::new("kills", promised, format!("{seen:.3}"), seen <= most)
    };
    let least = u64::from(kills) * DECLARED_CALLS_PER_KILL;
    let declared = &outcome.declared;
    let first = outcome.first_success_after_election_ms;
    let mut promises = vec![
        Promise::new(
            "kills",
            part(&format!("(the load: at least {least} declared calls)")),
            declared.calls.to_string(),
            declared.calls >= least,
        )
        .of_times(),
        none("declared call fails", declared.failed),
        at_most(
            "the longest declared call, in ms:",
            LONGEST_CALL_MS,
            declared.longest_ms,
        )
        .of_times(),
        at_most(
            "attempts per declared call:",
            ATTEMPTS_PER_CALL,
            declared.attempts_per_call,
        ),
        at_most(
            "first success after an election, median, in ms:",
            FIRST_SUCCESS_MEDIAN_MS,
            first.median,
        )
        .of_times(),
        at_most(
            "first success after an election, worst, in ms:",
            FIRST_SUCCESS_WORST_MS,
            first.worst,
        )
        .of_times(),
        none(
            "acknowledged write is missing on a node",
            outcome.acknowledged_writes_missing as u64,
        ),
        none(
            "undeclared call begins on two nodes, or twice on one",
            outcome.undeclared_begun_more_than_once as u64,
        ),
        none(
            "undeclared call is applied twice",
            outcome.undeclared_applied_more_than_once as u64,
        ),
        of_elections(
            none(
                "undeclared call fails that was not in flight on a killed node",
                outcome.undeclared_failed_elsewhere as u64,
            ),
            outcome,
        ),
    ];
    promises.extend(outcome.down.iter().flat_map(|down| of_down(down, seed)));
    promises
}

/// Where a leader lost its leadership alive, its calls may have run and fail, too. It does so when
/// a busy machine delays its heartbeats, so that the promise is then about times.
fn of_elections(promise: Promise, outcome: &Outcome) -> Promise {
    match outcome.leaders_that_stepped_down {
        0 => promise,
        _ => promise.of_times(),
    }
}

fn of_down(down: &Down, seed: u64) -> [Promise; 4] {
    let named = |promised: &str| format!("seed {seed}: {promised}");
    let deadline = DEADLINE.as_secs_f64() * 1000.0;
    let (waiting, fail_fast) = (&down.waiting, &down.fail_fast);
    let is_near = |ms: f64| (ms - deadline).abs() <= AROUND_DEADLINE_MS;
    let says_why = waiting.code == "DeadlineExceeded" && waiting.message.contains("onnect");
    [
        Promise::new(
            "no node up",
            named("a waiting call ends at its deadline of 500 ms, +-20 ms"),
            format!("{:.1} to {:.1}", waiting.shortest_ms, waiting.longest_ms),
            is_near(waiting.shortest_ms) && is_near(waiting.longest_ms),
        )
        .of_times(),
        Promise::new(
            "no node up",
            named("it says why"),
            words(&waiting.code, &waiting.message),
            says_why,
        ),
        Promise::new(
            "no node up",
            named("a fail-fast call ends within 50 ms"),
            format!("{:.1}", fail_fast.longest_ms),
            fail_fast.longest_ms < FAIL_FAST_MS,
        )
        .of_times(),
        Promise::new(
            "no node up",
            named("it is UNAVAILABLE"),
            words(&fail_fast.code, &fail_fast.message),
            fail_fast.code == "Unavailable",
        ),
    ]
}

/// In short lines.
fn words(code: &str, message: &str) -> String {
    let parts = message.replace("; ", ";\n").replace(": ", ":\n");
    format!("{code}:\n{parts}")
}
