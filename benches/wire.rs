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
#[path = "../tests/foreign/src/bin/proxies/envoy_parts.rs"]
mod envoy_parts;
#[path = "wire/subjects.rs"]
mod subjects;
#[path = "wire/table.rs"]
mod table;
#[path = "wire/turn.rs"]
mod turn;

use std::fmt::Write as _;
use std::iter::zip;
use std::path::{Path, PathBuf};

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
    /// Only see that calls succeed, and measure nothing.
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

/// In all, to see whether calls succeed.
const FEW: u32 = 256;

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let echo = Echo::default();
    let address = server::start(echo.clone())?;
    let server = Endpoint::from_shared(address.clone())?;
    // It runs until this is dropped.
    let sidecar = start_envoy(&runtime, options.envoy.as_deref(), &address)?;
    let envoy = sidecar.as_ref().map(|envoy| envoy.address.clone());
    let envoy = envoy.map(Endpoint::from_shared).transpose()?;
    let connect = || {
        let _entered = runtime.enter();
        subjects::all(&server, envoy.as_ref())
    };
    check(&runtime, connect()?, &echo)?;
    if options.quick {
        return Ok(());
    }
    let _awake = Awake::start()?;
    let mut all = Vec::new();
    let mut text = String::new();
    for load in LOADS {
        let turns = measure(&runtime, connect, load)?;
        let measured = Measured::all(&turns);
        write!(text, "{}\n\n", table::of(load, &measured))?;
        all.push((load, measured));
    }
    println!("{text}");
    if options.write {
        document::write_section("wire", &text)?;
        table::plots(&all)?;
    }
    Ok(())
}

fn start_envoy(
    runtime: &Runtime,
    path: Option<&Path>,
    server: &str,
) -> Result<Option<Envoy>, Failure> {
    let Some(path) = path else {
        println!("Without Envoy: '.ci/run envoy' installs one, and says its path for --envoy.\n");
        return Ok(None);
    };
    // Cargo runs a bench in its package's folder.
    let path = document::root().join(path);
    Ok(Some(runtime.block_on(Envoy::start(&path, server))?))
}

/// Whether calls succeed, and those of who retries after a failure too.
fn check(runtime: &Runtime, mut subjects: Vec<Subject>, echo: &Echo) -> Result<(), Failure> {
    for subject in &mut subjects {
        for load in LOADS {
            calls(runtime, subject, Load { calls: FEW, ..load })?;
        }
        let mut also = "";
        if subject.retries {
            echo.fail_once();
            let [one, ..] = LOADS;
            calls(runtime, subject, Load { calls: 1, ..one })?;
            also = ", also after UNAVAILABLE";
        }
        println!("calls succeed{also}: {}", subject.name);
    }
    println!();
    Ok(())
}

fn calls(runtime: &Runtime, subject: &Subject, load: Load) -> Result<(), Failure> {
    let called = runtime.block_on(subject.caller.run(load));
    called.map_err(|error| format!("{}: {error}", subject.name).into())
}

fn take_turn(runtime: &Runtime, subject: &mut Subject, load: Load) -> Result<Turn, Failure> {
    let turn = runtime.block_on(subject.caller.turn(load));
    turn.map_err(|error| format!("{}: {error}", subject.name).into())
}

/// All turns of each subject.
fn measure(
    runtime: &Runtime,
    connect: impl Fn() -> Result<Vec<Subject>, Failure>,
    load: Load,
) -> Result<Vec<(&'static str, Vec<Turn>)>, Failure> {
    let mut all: Vec<(&str, Vec<Turn>)> = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut subjects = connect()?;
        let turn = |subject: &mut Subject| take_turn(runtime, subject, load);
        for subject in &mut subjects {
            turn(subject)?;
        }
        let turns = rounds::of(ROUNDS, &mut subjects, turn)?;
        all.resize_with(subjects.len(), Default::default);
        for ((subject, turns), (name, all)) in zip(subjects, turns).zip(&mut all) {
            *name = subject.name;
            all.extend(turns);
        }
    }
    Ok(all)
}
