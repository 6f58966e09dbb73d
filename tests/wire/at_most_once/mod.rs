//! Calls of all four kinds under random faults, through every stack: nothing undeclared begins
//! twice, what provably did not begin succeeds, and everything declared succeeds.
//!
//! Each seed is a run's whole weather: which kind each connection is of, what each of its streams
//! meets, and what each call is. A failed run prints its seed. By the environment:
//!
//! - `GRPC_RESILIENCE_ORACLE_SEED=7` runs one seed again,
//! - `GRPC_RESILIENCE_ORACLE_SECONDS=600` has each test run seed after seed for so long,
//! - `GRPC_RESILIENCE_ORACLE_CALLS=100` makes so many calls a run.
//!
//! In most runs the clock is paused, so no wait takes time, and time passes as soon as there is
//! nothing to do. What only threads can show has a clock that runs.

mod call;
mod client;
mod counts;
mod faults;
mod kind;
mod oracle;
mod recorder;
mod rng;
mod runs;
mod setup;
mod stack;
mod stream_faults;
mod transport_word;

use faults::Weather;
use runs::Runs;
use setup::{Calls, Pace, Setup};
use stack::Stack;

// CONTRACT I1, I2, I4, I4a, I4b, I7, X1, X2
#[transports::test(start_paused = true)]
async fn no_undeclared_call_begins_twice_and_what_provably_did_not_begin_succeeds() {
    let counts = Runs::of(2)
        .each(Stack::ALL, |seed, stack| {
            let (calls, weather) = (Calls::Undeclared, Weather::Any);
            Setup::new(seed, stack, calls, weather, Pace::PAUSED)
        })
        .await;
    // The seeds did throw what this test is about.
    assert!(counts.succeeded > counts.calls * 4 / 10, "{counts:?}");
    assert!(counts.saved > counts.calls / 20, "{counts:?}");
    assert!(counts.vouched > 0, "{counts:?}");
    assert!(counts.failed_seen > counts.calls / 20, "{counts:?}");
}

// CONTRACT I4, I4b, D5, R13
#[transports::test(start_paused = true)]
async fn no_undeclared_call_begins_twice_among_calls_that_are_dropped_expire_or_repeat() {
    let counts = Runs::of(2)
        .each(Stack::ALL, |seed, stack| {
            Setup::new(seed, stack, Calls::Mixed, Weather::Any, Pace::PAUSED)
        })
        .await;
    assert!(counts.saved > counts.calls / 30, "{counts:?}");
    assert!(counts.dropped > counts.calls / 40, "{counts:?}");
    assert!(counts.repeated > counts.calls / 40, "{counts:?}");
}

// CONTRACT I2, R1, R9. After a head nothing is sent again (R6), so here an answer is one block, and
// no fault comes after it.
#[transports::test(start_paused = true)]
async fn every_declared_call_succeeds() {
    let retrying = Stack::ALL.into_iter().filter(|stack| stack.retries());
    let counts = Runs::of(2)
        .each(retrying, |seed, stack| {
            let (calls, weather) = (Calls::Declared, Weather::BeforeTheHead);
            Setup::new(seed, stack, calls, weather, Pace::PAUSED)
        })
        .await;
    assert_eq!(counts.succeeded, counts.calls);
    assert!(counts.repeated > counts.calls / 4, "{counts:?}");
}

// CONTRACT I4, I4a, I4b. hyper's tasks race for a GOAWAY only where there are threads.
#[transports::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_undeclared_call_begins_twice_where_threads_race() {
    let counts = Runs::of(1)
        .each(Stack::ALL, |seed, stack| {
            Setup::new(seed, stack, Calls::Mixed, Weather::Any, Pace::REAL)
        })
        .await;
    assert!(counts.repeated > counts.calls / 40, "{counts:?}");
}

// CONTRACT I4, I4a, I4b
#[transports::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_undeclared_call_begins_twice_as_connections_age() {
    let counts = Runs::of(2)
        .each(Stack::ALL, |seed, stack| {
            Setup::new(seed, stack, Calls::Undeclared, Weather::Ageing, Pace::REAL)
        })
        .await;
    assert!(counts.saved > 0, "{counts:?}");
}
