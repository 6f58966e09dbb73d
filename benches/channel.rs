//! What a unary call costs over `channel::Channel`, over tonic's channel, and under what others
//! offer.
//!
//! ```console
//! $ cargo bench -p grpc-resilience-benches --bench channel
//! $ cargo bench -p grpc-resilience-benches --bench channel -- --help
//! ```
//!
//! The server and each client are processes of their own. Turns of all clients are interleaved, and
//! ratios are medians of the ratios within each round.

#[path = "wire/awake.rs"]
mod awake;
#[path = "channel/client.rs"]
mod client;
#[path = "channel/counts.rs"]
mod counts;
#[path = "channel/cpu.rs"]
mod cpu;
#[path = "wire/echo.rs"]
#[allow(dead_code, reason = "nothing fails here")]
mod echo;
#[path = "wire/envoy.rs"]
mod envoy;
#[path = "wire/envoy_config.rs"]
mod envoy_config;
#[path = "../tests/foreign/src/bin/proxies/envoy_parts.rs"]
mod envoy_parts;
#[path = "channel/floor.rs"]
mod floor;
#[path = "channel/found.rs"]
mod found;
#[path = "channel/goals.rs"]
mod goals;
#[path = "channel/ours.rs"]
mod ours;
#[path = "channel/part.rs"]
mod part;
#[path = "channel/serve.rs"]
mod serve;
#[path = "channel/streams.rs"]
mod streams;
#[path = "wire/subjects.rs"]
#[allow(dead_code, reason = "nothing fails here, so nothing retries")]
mod subjects;
#[path = "channel/table.rs"]
mod table;
#[path = "wire/turn.rs"]
mod turn;

use std::path::PathBuf;

use benches::{Failure, document};
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use envoy::Envoy;
use part::Part;
use serve::Server;
use turn::Load;

/// What a unary call costs over `channel::Channel`, and over tonic's channel.
#[derive(Parser)]
struct Options {
    /// This Envoy, by its path from the root of the repository, is called through as a sidecar too.
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// Only these parts; all without it.
    #[arg(long = "part", value_enum, conflicts_with = "write")]
    parts: Vec<Part>,
    /// Only see that calls succeed over each channel, in one round, and count no instructions.
    #[arg(long)]
    quick: bool,
    /// Write the tables into BENCHMARKS.md.
    #[arg(long, requires = "envoy", conflicts_with = "quick")]
    write: bool,
    #[command(subcommand)]
    process: Option<Process>,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What another process of this bench does.
#[derive(Subcommand)]
enum Process {
    /// Serves on this number of threads, and says where.
    #[command(hide = true)]
    Serve { threads: usize },
    /// Makes turns of calls, and says what it found.
    #[command(hide = true)]
    Client {
        part: Part,
        subject: String,
        server: String,
        at_once: u32,
        calls: u32,
        envoy: Option<String>,
    },
    /// Makes calls, for callgrind, perf and strace.
    #[command(hide = true)]
    Calls {
        subject: String,
        address: String,
        at_once: u32,
        calls: u32,
        /// Worker threads; without any, all runs on the calling thread.
        #[arg(default_value_t = 0)]
        workers: usize,
    },
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    match &options.process {
        Some(Process::Serve { threads }) => return serve::run(*threads),
        Some(Process::Client {
            part,
            subject,
            server,
            at_once,
            calls,
            envoy,
        }) => {
            let (at_once, calls) = (*at_once, *calls);
            let load = Load { at_once, calls };
            return client::run(*part, subject, server, envoy.as_deref(), load);
        }
        Some(Process::Calls {
            subject,
            address,
            at_once,
            calls,
            workers,
        }) => {
            let (at_once, calls) = (*at_once, *calls);
            return counts::run(subject, address, Load { at_once, calls }, *workers);
        }
        None => {}
    }
    let load = cpu::load_average();
    let mut texts = vec![format!(
        "The load average of the minute before the run was {load}.\n"
    )];
    for part in Part::ALL {
        if options.parts.is_empty() || options.parts.contains(&part) {
            let before = cpu::round_trip();
            let text = measured(part, &options)?;
            let after = cpu::round_trip();
            let text = format!(
                "{text}A cache line went to the other processor and back in {before:.0} ns before \
                 these runs, and in {after:.0} ns after them.\n"
            );
            println!("{text}");
            texts.push(text);
        }
    }
    if options.write {
        document::write_section("channel", &texts.join("\n"))?;
    }
    Ok(())
}

fn measured(part: Part, options: &Options) -> Result<String, Failure> {
    if part == Part::Streams {
        return streams::table(options.quick);
    }
    let server = Server::start(part.server_threads())?;
    if part == Part::Counts {
        return if options.quick {
            Ok(String::new())
        } else {
            counts::table(&server.address)
        };
    }
    // It runs until this is dropped.
    let envoy = match &options.envoy {
        Some(path) if part.has_peers() => {
            // Cargo runs a bench in its package's folder.
            let path = document::root().join(path);
            Some(runtime(0)?.block_on(Envoy::start(&path, &server.address))?)
        }
        _ => None,
    };
    let envoy = envoy.as_ref().map(|envoy| envoy.address.as_str());
    part.tables(&server.address, envoy, options.quick)
}

/// A runtime for clients; without workers one on the calling thread.
fn runtime(workers: usize) -> Result<Runtime, Failure> {
    let mut builder = match workers {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    Ok(builder
        .worker_threads(workers.max(1))
        .enable_all()
        .build()?)
}
