//! The leader's address moves: it refuses connections, resets them, swallows what is sent, leads to
//! a server that ends, or to two servers at once.
//!
//! Clients call one address, behind which a TCP proxy leads to the server that leads now. This
//! crate's channel under `Resilience` is there, and tonic's under a recipe from a guide to such
//! systems: 100 ms x2 and jitter, three tries. Run it with
//! `cargo run --release --example vip_failover`; it ends with one table of what was promised and
//! what was seen, and exits non-zero if a promise is broken. `--only` names experiments, `--quick`
//! shortens them.

mod args;
#[path = "../deadline_chain/chain.rs"]
mod chain;
mod clients;
mod deadline;
mod hole;
mod leader;
#[path = "../deadline_chain/link.rs"]
mod link;
mod outage;
mod pair;
mod proto;
#[path = "../deadline_chain/report.rs"]
mod report;
mod stream;
mod timeline;
mod two;
mod vip;

use std::process::ExitCode;

use clap::Parser;
use grpc_resilience_examples::show::again::unless_busy;
use grpc_resilience_examples::show::promise::conclude;
use grpc_resilience_examples::{Failure, on_two_threads};

use crate::args::{Args, Experiment};

fn main() -> Result<ExitCode, Failure> {
    let args = Args::parse();
    on_two_threads(run(&args))
}

async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut promises = Vec::new();
    for experiment in args.experiments() {
        promises.extend(match experiment {
            Experiment::Outage => unless_busy(async || outage::run(args).await).await?,
            Experiment::Hole => unless_busy(async || hole::run(args).await).await?,
            Experiment::Two => two::run(args).await?,
            Experiment::Stream => unless_busy(async || stream::run(args).await).await?,
            Experiment::Chain => unless_busy(async || deadline::run().await).await?,
        });
    }
    Ok(conclude(&promises))
}
