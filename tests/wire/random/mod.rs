//! A thousand calls under random faults: what is provably unprocessed succeeds, nothing undeclared
//! runs twice, and everything declared succeeds.
//!
//! Each seed is a test's whole weather: which kind each connection is of, and what each of its
//! streams meets. `WIRE_SEED=7 cargo test --test wire random` runs one seed again; a failed test
//! prints its own.
//!
//! The clock is paused, so no wait takes time, and time passes as soon as there is nothing to do.

mod calls;
mod dice;
mod fate;
mod oracle;
mod weather;

use peer::Peer;

use super::common::channel;
use calls::{Client, Ended};
use oracle::Judge;
use weather::Weather;

const CALLS: u32 = 1_000;

/// The seeds of a run, unless the environment names one.
fn seeds() -> Vec<u64> {
    match std::env::var("WIRE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=4).collect(),
    }
}

async fn run(seed: u64, weather: Weather, is_declared: bool) -> (Peer, Vec<Ended>) {
    println!("seed {seed}: WIRE_SEED={seed} runs it again");
    let peer = Peer::start(weather.connections(seed)).await;
    let client = Client::new(channel(&peer), is_declared);
    let ended = client.all(CALLS).await;
    assert!(peer.connections() < weather::CONNECTIONS, "fair at last");
    (peer, ended)
}

// CONTRACT I1, I2, I4, X1, X2
#[tokio::test(start_paused = true)]
async fn no_undeclared_call_runs_twice_and_what_was_provably_not_processed_succeeds() {
    for seed in seeds() {
        let (peer, ended) = run(seed, Weather::Any, false).await;
        let judge = Judge::new(&peer, &ended);
        for call in &ended {
            judge.ran_at_most_once(call);
            judge.failed_only_if_it_may_have_run(call);
        }
        judge.is_consistent();
        // The seed did throw what this test is about.
        let counts = judge.counts();
        println!("{counts:?}");
        assert!(counts.succeeded > 450, "{counts:?}");
        assert!(counts.saved > 75, "{counts:?}");
        assert!(counts.failed_seen > 100, "{counts:?}");
    }
}

// CONTRACT I2, R1, R9. After a head nothing is sent again (R6), so here an answer is one block, and
// no fault comes after it.
#[tokio::test(start_paused = true)]
async fn every_declared_call_succeeds() {
    for seed in seeds() {
        let (peer, ended) = run(seed, Weather::BeforeTheHead, true).await;
        for call in &ended {
            assert!(call.succeeded, "{call:?}");
        }
        let judge = Judge::new(&peer, &ended);
        judge.is_consistent();
        let counts = judge.counts();
        println!("{counts:?}");
        assert!(counts.repeated > 300, "{counts:?}");
    }
}
