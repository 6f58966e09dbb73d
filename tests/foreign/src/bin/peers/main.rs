//! Calls servers of Go, Java, Node and Python under load, while their connections age and they die,
//! over tonic's channel and this crate's; and has clients of these languages call a server with
//! quotas, and one that drains.
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
mod callers;
mod client;
mod drain;
mod health;
mod kills;
mod language;
mod limit;
mod quota;
mod server;
mod silence;
mod stuck;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use foreign::Failure;
use foreign::over::Over;
use foreign::promises::Promises;
use foreign::table::Table;

use crate::language::Language;
use crate::limit::Slowest;
use crate::server::Places;
use crate::silence::Silence;

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
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// The languages; all of them, if none is given.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Language>,
    /// Whose channels; both, if none is given.
    #[arg(long, value_delimiter = ',')]
    over: Vec<Over>,
    /// What to show; all but `dropped`, if nothing is given.
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Hints and messages too large, in each language's own words.
    Words,
    /// Connections that end after 200 ms.
    Ageing,
    /// Health services, and servers without one, under the health gate.
    Health,
    /// Servers that are terminated or killed, and come back.
    Kills,
    /// Servers that allow ten streams on a connection.
    Limit,
    /// Servers that are stopped and fall silent.
    Stopped,
    /// The same of a network that drops all that servers send. By its name only, and within a
    /// network namespace, as `.ci/run peers` runs it.
    Dropped,
    /// Clients whose retry policy a server with a quota tells when to come.
    Quota,
    /// Clients while a server of ours drains, and while one stops as tonic's does by itself.
    Drain,
}

#[tokio::main]
async fn main() -> ExitCode {
    foreign::run(show(Args::parse())).await
}

async fn show(args: Args) -> Result<ExitCode, Failure> {
    let places = Places::new(&args.built, &args.sources)?;
    let time = Duration::from_secs_f64(args.seconds);
    let wants = |part| args.parts.is_empty() || args.parts.contains(&part);
    let languages = given(&args.only);
    let overs = given(&args.over);
    let (mut table, mut promises) = (Table::new(HELD_UP), Promises::default());
    let mut slowest = Slowest::default();
    for &language in &languages {
        println!("== {language}");
        for &over in &overs {
            if wants(Part::Words) {
                words::show(language, over, &places, &mut promises).await?;
            }
            if wants(Part::Ageing) {
                ageing::show(language, over, &places, time, &mut table, &mut promises).await?;
            }
        }
        if wants(Part::Health) {
            health::show(language, &places, &mut promises).await?;
        }
        if wants(Part::Kills) {
            kills::show(language, &overs, &places, &mut table, &mut promises).await?;
        }
        if wants(Part::Limit) {
            let (table, promises) = (&mut table, &mut promises);
            limit::show(language, &overs, &places, &mut slowest, table, promises).await?;
        }
        if wants(Part::Quota) {
            quota::show(language, &places, &mut promises).await?;
        }
    }
    slowest.check(&mut promises);
    if wants(Part::Stopped) {
        silence::show(&languages, Silence::Stopped, &places, &mut promises).await?;
    }
    if args.parts.contains(&Part::Dropped) {
        silence::show(&languages, Silence::Dropped, &places, &mut promises).await?;
    }
    if wants(Part::Drain) {
        drain::show(&languages, &places, &mut promises).await?;
    }
    println!("\n{table}");
    Ok(promises.verdict())
}

/// What was asked for, or all there is.
fn given<T: ValueEnum + Clone>(asked: &[T]) -> Vec<T> {
    let asked = match asked {
        [] => T::value_variants(),
        some => some,
    };
    asked.to_vec()
}
