//! What a call over loopback HTTP/2 takes through the stack, and through what others offer.
//!
//! ```console
//! $ cargo bench -p grpc-resilience-benches --bench wire
//! $ cargo bench -p grpc-resilience-benches --bench wire -- --help
//! ```

#[path = "wire/awake.rs"]
mod awake;
#[path = "wire/echo.rs"]
mod echo;
#[path = "wire/envoy.rs"]
mod envoy;
#[path = "wire/envoy_config.rs"]
mod envoy_config;
#[path = "wire/subjects.rs"]
mod subjects;
#[path = "wire/table.rs"]
mod table;
#[path = "wire/turn.rs"]
mod turn;

use std::fmt::Write as _;
use std::iter::zip;
use std::path::PathBuf;

use benches::{Failure, document, rounds, server};
use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Endpoint;

use awake::Awake;
use echo::Echo;
use envoy::Envoy;
use subjects::Subject;
use table::Measured;
use turn::{Load, Turn};

/// What a call over loopback HTTP/2 takes through the stack, and through what others offer.
#[derive(Parser)]
struct Options {
    /// This Envoy, by its path from the root of the repository, is called through as a sidecar too.
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// Make few calls, to see that they succeed: no time that it shows is of use.
    #[arg(long)]
    quick: bool,
    /// Write the tables into BENCHMARKS.md, and the plots into docs/benchmarks.
    #[arg(long, requires = "envoy", conflicts_with = "quick")]
    write: bool,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A connection may be a slow one all its life, so there are several, one after the other.
const CONNECTIONS: usize = 5;
/// On each connection.
const ROUNDS: usize = 20;
/// So many that a turn takes 50 ms or so: short beside what else the machine happens to do.
const LOADS: [Load; 2] = [
    Load {
        at_once: 1,
        calls: 500,
    },
    Load {
        at_once: 64,
        calls: 4096,
    },
];

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let address = server::start(Echo)?;
    let server = Endpoint::from_shared(address.clone())?;
    let sidecar = match &options.envoy {
        // Cargo runs a bench in its package's folder.
        Some(path) => Some(runtime.block_on(Envoy::start(&document::root().join(path), &address))?),
        None => None,
    };
    let envoy = sidecar
        .as_ref()
        .map(|(_, address)| Endpoint::from_shared(address.clone()))
        .transpose()?;
    let (connections, rounds) = if options.quick {
        (1, 2)
    } else {
        (CONNECTIONS, ROUNDS)
    };
    let _awake = Awake::start()?;
    let mut all = Vec::new();
    let mut text = String::new();
    for load in LOADS {
        let mut turns: Vec<(&'static str, Vec<Turn>)> = Vec::new();
        for _ in 0..connections {
            let subjects = {
                let _entered = runtime.enter();
                subjects::all(&server, envoy.as_ref())?
            };
            let found = measure(&runtime, subjects, load, rounds)?;
            turns.resize_with(found.len(), Default::default);
            for ((name, turns), (as_named, all)) in zip(found, &mut turns) {
                *as_named = name;
                all.extend(turns);
            }
        }
        let measured = Measured::all(&turns);
        write!(text, "{}\n\n", table::of(load, &measured))?;
        all.push((load, measured));
    }
    println!("{text}");
    if options.envoy.is_none() {
        println!("Without Envoy: '.ci/run envoy' installs one and says where, for --envoy.\n");
    }
    if options.write {
        document::write_section("wire", &text)?;
        table::plots(&all)?;
    }
    Ok(())
}

/// The turns of each of them, over new connections.
fn measure(
    runtime: &Runtime,
    mut subjects: Vec<Subject>,
    load: Load,
    rounds: usize,
) -> Result<Vec<(&'static str, Vec<Turn>)>, Failure> {
    let turn = |(name, caller): &mut Subject| {
        let turn = runtime.block_on(caller.turn(load));
        turn.map_err(|error| format!("{name}: {error}").into())
    };
    for subject in &mut subjects {
        turn(subject)?;
    }
    let turns = rounds::of(rounds, &mut subjects, turn)?;
    Ok(zip(subjects.iter().map(|(name, _)| *name), turns).collect())
}
