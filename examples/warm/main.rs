//! Connections that are there before the call, wherever the servers move.
//!
//! Real servers, each a process of its own, behind a name of a DNS server on loopback, under load
//! by this crate's channel, beside tonic's `balance_list` and `warm_channels`. Run it with
//! `cargo run --release --example warm`; it ends with one table of what was promised and what was
//! seen, and exits non-zero if a promise is broken. `--only` names experiments, `--quick` shortens
//! them.

mod args;
mod clients;
mod dns;
mod idle;
mod kills;
mod latency;
mod moved;
mod restart;
mod scale;
mod unhealthy;

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
            Experiment::Idle => idle::run(args).await?,
            Experiment::Kills => unless_busy(async || kills::run(args).await).await?,
            Experiment::Restart => unless_busy(async || restart::run(args).await).await?,
            Experiment::Moved => unless_busy(async || moved::run(args).await).await?,
            Experiment::Scale => unless_busy(async || scale::run(args).await).await?,
            Experiment::Unhealthy => unless_busy(async || unhealthy::run(args).await).await?,
            Experiment::Latency => unless_busy(async || latency::run(args).await).await?,
        });
    }
    Ok(conclude(&promises))
}
