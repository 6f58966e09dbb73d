//! Ten rollouts from blue to green and back, through Consul, without a failed call.
//!
//! Each instance is a process of its own, which registers itself with Consul's agent and drains at
//! SIGTERM. Run it with `cargo run --release --example blue_green`, and with `--consul
//! 127.0.0.1:8500` for a real agent; without one a stand-in runs in this process. It ends with one
//! table of what was promised and what was seen, and exits non-zero if a promise is broken.
//! `--only` names experiments, `--quick` shortens them.

mod agent;
mod args;
mod calls;
mod client;
mod crash;
mod instance;
mod outages;
mod process;
mod proto;
mod rollouts;
mod streams;
mod updates;

use std::process::ExitCode;

use clap::Parser;
use grpc_resilience_examples::show::again::unless_busy;
use grpc_resilience_examples::show::promise::conclude;
use grpc_resilience_examples::{Failure, on_two_threads};

use crate::args::{Args, Experiment};

fn main() -> Result<ExitCode, Failure> {
    if instance::serve_if_asked()? {
        return Ok(ExitCode::SUCCESS);
    }
    on_two_threads(run(&Args::parse()))
}

async fn run(args: &Args) -> Result<ExitCode, Failure> {
    match args.consul {
        Some(address) => println!("The registry is the Consul agent at {address}."),
        None => println!(
            "The registry is a stand-in for Consul in this process; `--consul host:port` takes a \
             real agent."
        ),
    }
    let mut promises = Vec::new();
    for experiment in args.experiments() {
        promises.extend(match experiment {
            Experiment::Rollouts => unless_busy(async || rollouts::run(args).await).await?,
            Experiment::Outages => outages::run(args).await?,
            Experiment::Updates => updates::run(args).await?,
            Experiment::Crash => unless_busy(async || crash::run(args).await).await?,
        });
    }
    Ok(conclude(&promises))
}
