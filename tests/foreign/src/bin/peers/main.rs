//! Calls servers of Go, Java, Node and Python under load, while their connections age and they die;
//! and has clients of these languages call a server with quotas.
//!
//! `.ci/run peers` builds the servers and clients and runs this. Each promise is asserted, and the
//! program exits non-zero if one does not hold. To run it for longer, once that has built the
//! servers:
//!
//! ```console
//! $ cargo run --profile foreign -p grpc-resilience-foreign --bin peers -- \
//!       --built target/peers --seconds 60
//! ```

mod ageing;
mod client;
mod kills;
mod language;
mod quota;
mod server;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use foreign::Failure;
use foreign::promises::Promises;
use foreign::table::Table;

use crate::language::Language;
use crate::server::Places;

/// A call that takes longer was held up.
const HELD_UP: Duration = Duration::from_millis(250);

/// Calls servers of other languages through `grpc-resilience`, has clients call a server of its
/// own, and asserts what it promises.
#[derive(Debug, Parser)]
struct Args {
    /// The folder with the built servers and clients.
    #[arg(long)]
    built: PathBuf,
    /// The folder with their sources.
    #[arg(long, default_value = "tests/foreign/peers")]
    sources: PathBuf,
    /// How long each load runs while connections age.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// The languages; all of them, if none is given.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Language>,
    /// What to show; all of it, if nothing is given.
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Hints and messages too large, in each language's own words.
    Words,
    /// Connections that end after 200 ms.
    Ageing,
    /// Servers that are terminated or killed, and come back.
    Kills,
    /// Clients whose retry policy a server with a quota tells when to come.
    Quota,
}

#[tokio::main]
async fn main() -> ExitCode {
    foreign::run(show(Args::parse())).await
}

async fn show(args: Args) -> Result<ExitCode, Failure> {
    let places = Places::new(&args.built, &args.sources)?;
    let time = Duration::from_secs_f64(args.seconds);
    let wants = |part| args.parts.is_empty() || args.parts.contains(&part);
    let (mut table, mut promises) = (Table::new(HELD_UP), Promises::default());
    for &language in Language::value_variants() {
        if !args.only.is_empty() && !args.only.contains(&language) {
            continue;
        }
        println!("== {language}");
        if wants(Part::Words) {
            words::show(language, &places, &mut promises).await?;
        }
        if wants(Part::Ageing) {
            ageing::show(language, &places, time, &mut table, &mut promises).await?;
        }
        if wants(Part::Kills) {
            kills::show(language, &places, &mut table, &mut promises).await?;
        }
        if wants(Part::Quota) {
            quota::show(language, &places, &mut promises).await?;
        }
    }
    println!("\n{table}");
    Ok(promises.verdict())
}
