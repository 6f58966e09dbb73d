//! Where calls go when servers differ, change, fail, die and freeze.
//!
//! Real servers, each a process of its own, under load by this crate's channel, beside tonic's
//! `balance_list` and `balance_channel` with the same servers and the same load. Run it with
//! `cargo run --release --example balance`; it ends with one table of what was promised and what
//! was seen, and exits non-zero if a promise is broken. `--only` names experiments, `--quick`
//! shortens them.
//!
//! The waits between attempts are no figure of this: on a paused clock the tests of
//! `tests/spec/server_hints` and `tests/spec/retry` check them.

mod args;
mod budget;
mod clients;
mod freeze;
mod kill;
mod shard;
mod silent;
mod slow;
mod swap;
mod told;

use std::process::ExitCode;

use clap::Parser;
use grpc_resilience_examples::show::again::unless_busy;
use grpc_resilience_examples::show::promise::conclude;
use grpc_resilience_examples::{Failure, fleet, on_two_threads};

use crate::args::{Args, Experiment};

fn main() -> Result<ExitCode, Failure> {
    if fleet::serve_if_asked()? {
        return Ok(ExitCode::SUCCESS);
    }
    on_two_threads(run(&Args::parse()))
}

async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut promises = Vec::new();
    for experiment in args.experiments() {
        promises.extend(match experiment {
            Experiment::Slow => unless_busy(async || slow::run(args).await).await?,
            Experiment::Shard => shard::run().await?,
            Experiment::Swap => swap::run(args).await?,
            Experiment::Budget => budget::run().await?,
            Experiment::Kill => unless_busy(async || kill::run(args).await).await?,
            Experiment::Freeze => unless_busy(async || freeze::run(args).await).await?,
            Experiment::Silent => silent::run().await?,
        });
    }
    Ok(conclude(&promises))
}
