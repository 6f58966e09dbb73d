//! What a call costs under each layer, under the stacks, and under what others offer.
//!
//! ```console
//! $ cargo bench -p grpc-resilience-benches --bench overhead
//! $ cargo bench -p grpc-resilience-benches --bench overhead -- --help
//! ```

#[path = "overhead/allocations.rs"]
mod allocations;
#[path = "overhead/instructions.rs"]
mod instructions;
#[path = "overhead/measured.rs"]
mod measured;
#[path = "overhead/table.rs"]
mod table;
#[path = "overhead/times.rs"]
mod times;

use benches::{Answering, Failure, subjects};
use clap::Parser;

use measured::Measured;

/// Costs of a call.
#[derive(Parser)]
struct Options {
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Failure> {
    let Options { bench: _ } = Options::parse();
    for answering in [Answering::AtOnce, Answering::Later] {
        let measured = Measured::all(&subjects::all(), answering)?;
        println!("{}\n{}\n", table::title(answering), table::of(&measured));
    }
    Ok(())
}
