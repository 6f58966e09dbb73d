//! What a unary call costs over `channel::Channel`, and over tonic's channel.
//!
//! ```console
//! $ cargo bench -p grpc-resilience-benches --bench channel
//! $ cargo bench -p grpc-resilience-benches --bench channel -- --help
//! ```
//!
//! The server is a process of its own. CPU time is that of the client's thread; instructions are
//! counted by callgrind. Turns of all subjects are interleaved, and ratios are medians of the
//! ratios of neighbouring turns.

#[path = "channel/client.rs"]
mod client;
#[path = "channel/instructions.rs"]
mod instructions;
#[path = "channel/serve.rs"]
mod serve;
#[path = "channel/turns.rs"]
mod turns;

use benches::Failure;
use clap::{Parser, Subcommand};

use client::Subject;
use serve::Server;

/// What a unary call costs over `channel::Channel`, and over tonic's channel.
#[derive(Parser)]
struct Options {
    /// How many turns of each subject.
    #[arg(long, default_value_t = 15)]
    turns: usize,
    /// How many callers at once, for each table.
    #[arg(long, value_delimiter = ',', default_value = "1,64,512")]
    callers: Vec<u32>,
    /// Counts no instructions, which needs valgrind.
    #[arg(long)]
    no_instructions: bool,
    /// Worker threads of the client; 0 is a runtime on the calling thread.
    #[arg(long, default_value_t = 0)]
    workers: usize,
    #[command(subcommand)]
    part: Option<Part>,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Part {
    /// Serves, and says where.
    #[command(hide = true)]
    Serve,
    /// Makes calls, for callgrind.
    #[command(hide = true)]
    Calls {
        subject: Subject,
        address: String,
        callers: u32,
        calls: u32,
    },
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    match options.part {
        Some(Part::Serve) => return serve::run(),
        Some(Part::Calls {
            subject,
            address,
            callers,
            calls,
        }) => return client::run(subject, &address, callers, calls),
        None => {}
    }
    let server = Server::start()?;
    for &callers in &options.callers {
        let table = turns::table(&server.address, callers, options.turns, options.workers)?;
        println!("{callers} callers\n{table}\n");
    }
    if options.no_instructions {
        return Ok(());
    }
    for &callers in options.callers.iter().filter(|callers| **callers <= 64) {
        for subject in Subject::ALL {
            let count = instructions::of(subject, &server.address, callers)?;
            println!(
                "{} at {callers}: {count:.0} instructions a call",
                subject.name()
            );
        }
    }
    Ok(())
}
