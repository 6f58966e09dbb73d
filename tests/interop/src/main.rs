//! This crate's client, in the scenarios of `scenarios.rs` against the servers of `server.py`.
//!
//! Takes the servers' addresses and, if not all are meant, names of scenarios:
//! `interop-client core=127.0.0.1:4000 aging=.. pushback`. Prints a JSON object for each scenario.
//! `run.py` starts the servers and compares this client with C-core's.

mod args;
mod calls;
mod counted;
mod outcome;
mod scenarios;
mod stack;
mod streams;

use std::error::Error;

use tokio::time::Instant;

use crate::args::Args;
use crate::counted::Sends;
use crate::outcome::Outcome;
use crate::scenarios::{SCENARIOS, Scenario};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse(std::env::args().skip(1))?;
    for scenario in SCENARIOS.iter().filter(|it| args.wants(it.name)) {
        let outcome = play(scenario, &args).await?;
        println!("{}", serde_json::to_string(&outcome)?);
    }
    Ok(())
}

/// On a connection and with a budget of its own, so that no scenario colours the next.
async fn play(scenario: &'static Scenario, args: &Args) -> Result<Outcome, Failure> {
    let sends = Sends::default();
    let client = stack::client(args.address(scenario.server)?, scenario, &sends)?;
    let start = Instant::now();
    let answers = calls::make(&client, scenario).await;
    Ok(Outcome::of(scenario, answers, &sends, start.elapsed()))
}
