//! What a call costs under each layer, under the stacks, and under what others offer.
//!
//! ```console
//! $ cargo bench -p grpc-resilience-benches --bench overhead
//! $ cargo bench -p grpc-resilience-benches --bench overhead -- --help
//! ```

#[path = "overhead/allocations.rs"]
mod allocations;
#[path = "overhead/baseline.rs"]
mod baseline;
#[path = "overhead/instructions.rs"]
mod instructions;
#[path = "overhead/measured.rs"]
mod measured;
#[path = "overhead/promises.rs"]
mod promises;
#[path = "overhead/table.rs"]
mod table;
#[path = "overhead/times.rs"]
mod times;

use std::fmt::Write as _;
use std::path::PathBuf;

use benches::subjects::{self, Group};
use benches::{Answering, Failure, document};
use clap::Parser;

use baseline::Baseline;
use measured::Measured;

/// What a call costs under each layer, under the stacks, and under what others offer. Counts
/// instructions with valgrind, which must be installed.
#[derive(Parser)]
struct Options {
    /// Fail if ours need over 3 % more instructions or allocations than this file says.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = BASELINE)]
    check: Option<PathBuf>,
    /// Write what ours need into this file, as the new baseline.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = BASELINE)]
    accept: Option<PathBuf>,
    /// Write the tables into BENCHMARKS.md, and the plots into docs/benchmarks.
    #[arg(long)]
    write: bool,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

const BASELINE: &str = "benches/baseline.json";

/// The others that ours are promised to stay below.
const RIVALS: [&str; 2] = ["tower::retry", "tower-resilience, its four layers"];

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    // The gate asks for ours only, and for nothing that the load of the machine changes.
    let is_gate = options.check.is_some() || options.accept.is_some();
    let subjects: Vec<_> = subjects::all()
        .into_iter()
        .filter(|one| !is_gate || one.group != Group::Peer || RIVALS.contains(&one.name))
        .collect();
    let mut found = Baseline::new();
    let mut text = String::new();
    let mut measured = Vec::new();
    for answering in [Answering::AtOnce, Answering::Later] {
        measured = Measured::all(&subjects, answering, !is_gate)?;
        found.add(answering, &measured);
        let title = table::title(answering);
        write!(text, "{title}\n\n{}\n\n", table::of(&measured))?;
    }
    let promised = document::table(promises::HEADER, promises::rows(&measured));
    writeln!(
        text,
        "The promises, held against the second table:\n\n{promised}"
    )?;
    println!("{text}");
    if options.write {
        document::write_section("overhead", &text)?;
        table::plots(&measured)?;
    }
    // Cargo runs a bench in its package's folder; the files are named from the root.
    if let Some(path) = options.accept {
        found.write(&document::root().join(path))?;
    }
    match options.check {
        Some(path) => gate(&found, &Baseline::read(&document::root().join(path))?),
        None => Ok(()),
    }
}

fn gate(found: &Baseline, accepted: &Baseline) -> Result<(), Failure> {
    let grown = found.grown_from(accepted);
    if grown.is_empty() {
        println!("Nothing of ours grew by more than 3 %.");
        return Ok(());
    }
    let header = ["grew by more than 3 %", "", "accepted", "found"];
    println!("{}\n", document::table(header, grown));
    if let Some(other) = found.other_compiler(accepted) {
        println!("{other}\n");
    }
    println!(
        "To accept this, say why in the commit, which takes what this writes along:\n  \
         cargo bench -p grpc-resilience-benches --bench overhead -- --accept\n"
    );
    Err("a call costs more than before".into())
}
