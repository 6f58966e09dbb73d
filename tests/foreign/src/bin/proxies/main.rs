//! Calls through nginx and Envoy while they end connections by count or by age.
//!
//! Behind each proxy four clients make undeclared unary calls in turns: this crate over tonic's
//! channel, without and with descriptors, and two loops written by hand over a bare channel.
//!
//! `.ci/run proxies` installs the proxies and runs this. The program exits non-zero if a promise
//! does not hold.

mod case;
mod client;
mod envoy;
mod envoy_parts;
mod judge;
mod nginx;
mod proxy;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use foreign::Failure;
use foreign::promises::Promises;
use foreign::table::Table;

use crate::case::Case;
use crate::judge::Judge;

/// A call that takes longer was held up.
const SLOW: Duration = Duration::from_millis(500);

#[derive(Debug, Parser)]
struct Args {
    /// The nginx to run.
    #[arg(long)]
    nginx: PathBuf,
    /// The Envoy to run.
    #[arg(long)]
    envoy: PathBuf,
    /// The calls that each client makes in each of its turns.
    #[arg(long, default_value_t = 3_000)]
    calls: u64,
    /// The turns of each client behind each proxy.
    #[arg(long, default_value_t = 9)]
    turns: usize,
    /// Only the cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    foreign::run(program(Args::parse())).await
}

async fn program(args: Args) -> Result<ExitCode, Failure> {
    let mut table = Table::new(SLOW);
    let mut promises = Promises::default();
    let mut judge = Judge::new(SLOW);
    for case in Case::all(&args.nginx, &args.envoy) {
        if !case.name.contains(&args.only) {
            continue;
        }
        let ran = case.run(args.turns, args.calls).await?;
        for (client, tally) in &ran.tallies {
            table.add(&format!("{}, {client}", case.name), tally, Some(&ran.begun));
        }
        judge.check(&case, &ran, &mut promises);
    }
    println!("\n{table}");
    Ok(promises.verdict())
}
