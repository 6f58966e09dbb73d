//! A store is watched through kills, freezes, clean ends and compaction, and no event is lost.
//!
//! Eight watchers over this crate's channel and eight over tonic's, all with `streams::Resumable`
//! over the layers of the README, check the number of each event. The store writes 200 revisions a
//! second of one to five events, and sends the larger ones in fragments. Run it with `cargo run
//! --release --example watch`; it ends with one table of what was promised and what was seen, and
//! exits non-zero if a promise is broken. It takes a minute; `--only` names experiments, `--quick`
//! has fewer of each.
//!
//! Both channels keep the same promises. They differ in this: over this crate's channel the report
//! of a stream names the endpoint of each failure, a stream that ends without a status is an error
//! without layers too, and the connection is made again before the stream asks for it.

mod args;
mod proto;
mod relay;
mod report;
mod run;
mod store;
mod watcher;

use std::process::ExitCode;

use clap::Parser;
use grpc_resilience_examples::show::again::unless_busy;
use grpc_resilience_examples::show::promise::conclude;
use grpc_resilience_examples::{Failure, on_two_threads};

use crate::args::Args;

fn main() -> Result<ExitCode, Failure> {
    let args = Args::parse();
    on_two_threads(run(&args))
}

async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut promises = Vec::new();
    for experiment in args.experiments() {
        let once = async || {
            let both = run::run(experiment, args.quick).await?;
            println!("\n{}", report::table(experiment, &both));
            Ok(report::promises(experiment, &both))
        };
        promises.extend(unless_busy(once).await?);
    }
    println!(
        "\nOver tonic's channel no failure in a stream's report names its endpoint, and the \
         connection is made again only when a stream asks for it."
    );
    Ok(conclude(&promises))
}
