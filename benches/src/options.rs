use clap::Parser;

/// The command line of a bench.
#[derive(Clone, Copy, Debug, Parser)]
pub struct Options {
    /// Write the tables into BENCHMARKS.md, and the plots into docs/benchmarks.
    #[arg(long)]
    pub write: bool,
    /// Cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
}
