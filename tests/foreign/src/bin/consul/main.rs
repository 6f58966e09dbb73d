//! Servers that register with a real agent of Consul, and clients that find them there.
//!
//! `.ci/run consul` builds Consul 1.14 and the example `blue_green`, and runs this. The program
//! exits non-zero if a promise does not hold.

mod access;
mod agent;
mod checks;
mod example;
mod parameters;
mod restart;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use foreign::Failure;
use foreign::promises::Promises;

use crate::agent::Agent;

#[derive(Debug, Parser)]
struct Args {
    /// The Consul to run.
    #[arg(long)]
    consul: PathBuf,
    /// The example to run with it; none, if it is not given.
    #[arg(long)]
    example: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    foreign::run(program(Args::parse())).await
}

async fn program(args: Args) -> Result<ExitCode, Failure> {
    let mut promises = Promises::default();
    let mut agent = Agent::start(&args.consul, "").await?;
    parameters::run(&agent, &mut promises).await?;
    checks::run(&agent, &mut promises).await?;
    if let Some(example) = &args.example {
        example::run(example, &agent, &mut promises).await?;
    }
    restart::run(&mut agent, &mut promises).await?;
    drop(agent);
    access::run(&args.consul, &mut promises).await?;
    Ok(promises.verdict())
}
