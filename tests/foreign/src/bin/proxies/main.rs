//! Calls through nginx and Envoy while they end connections by count or by age.
//!
//! Behind each proxy five clients make undeclared unary calls in turns: this crate over tonic's
//! channel, without and with descriptors, and over its own; and two loops written by hand over a
//! bare channel. Then 64 callers make undeclared unary calls and client streams over this crate's
//! channel, without descriptors; and so they do without a proxy, to a tonic server that ends its
//! connections.
//!
//! `.ci/run proxies` installs the proxies and runs this. The program exits non-zero if a promise
//! does not hold. With all calls, once that has installed the proxies:
//!
//! ```console
//! $ cargo run --profile foreign -p grpc-resilience-foreign --bin proxies -- --full \
//!       --nginx target/nginx/usr/sbin/nginx --envoy target/envoy-venv/bin/envoy
//! ```

mod case;
mod client;
mod envoy;
mod envoy_parts;
mod judge;
mod nginx;
mod proxy;
mod server;
mod storm;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use foreign::Failure;
use foreign::promises::Promises;
use foreign::table::Table;

use crate::case::Case;
use crate::judge::Judge;
use crate::storm::Storms;

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
    /// The turns of each client behind each proxy; 0 leaves that comparison out.
    #[arg(long, default_value_t = 9)]
    turns: usize,
    /// The calls of 64 callers over this crate's channel, behind each proxy and without one.
    #[arg(long, default_value_t = 10_000)]
    storm: u64,
    /// 100,000 such calls behind each proxy, and a million without one.
    #[arg(long)]
    full: bool,
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
    let mut storms = Storms::new();
    let mut judge = Judge::new(SLOW);
    for case in Case::all(&args.nginx, &args.envoy) {
        if !case.name.contains(&args.only) {
            continue;
        }
        if !case.is_direct() && args.turns > 0 {
            let ran = case.run(args.turns, args.calls).await?;
            for (client, tally) in &ran.tallies {
                table.add(&format!("{}, {client}", case.name), tally, Some(&ran.begun));
            }
            judge.check(&case, &ran, &mut promises);
        }
        let calls = match (args.full, case.is_direct()) {
            (false, _) => args.storm,
            (true, false) => 100_000,
            (true, true) => 1_000_000,
        };
        let (tally, begun) = case.storm(calls).await?;
        storms.check(&case, &tally, &begun, &mut promises);
    }
    println!("\n{storms}");
    println!("\n{table}");
    Ok(promises.verdict())
}
