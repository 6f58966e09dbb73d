//! What reaches a server that is in trouble, by client.
//!
//! Calls are offered on schedule, whatever becomes of them, to a real server over loopback, by this crate and by what a
//! tonic user would take or write instead, one after the other: to one that fails for a while, one that fails now and
//! then, one that is not up yet, and one that is limited. The server counts every attempt. Run it with
//! `cargo run --release --example storm`; it ends with one table of what was promised and what was seen, and exits
//! non-zero if a promise is broken. `--only` names experiments, `--quick` shortens them.

mod args;
mod arrivals;
mod clients;
mod faults;
mod flaky;
mod limited;
mod load;
mod outage;
mod progress;
mod proto;
mod record;
mod server;
mod trial;
mod waiting;

use std::process::ExitCode;

use clap::Parser;

use grpc_resilience_examples::show::promise::conclude;

use crate::args::{Args, Experiment};
use crate::clients::Client;

type Failure = Box<dyn std::error::Error + Send + Sync>;

// One thread for the clients; the server has the other core.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Failure> {
    let args = Args::parse();
    let mut promises = Vec::new();
    for experiment in args.experiments() {
        promises.extend(match experiment {
            Experiment::Outage => outage::run(&args).await?,
            Experiment::Flaky => flaky::run(&args).await?,
            Experiment::Waiting => waiting::run(&args).await?,
            Experiment::Limited => limited::run(&args).await?,
        });
    }
    if args.experiments().any(Experiment::compares_clients) {
        println!();
        for client in Client::ALL {
            println!("{}: {}.", client.name(), client.settings());
        }
    }
    Ok(conclude(&promises))
}
