//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Shows calls and a stream while the leader's address moves.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Run these experiments only, as in `--only outage,stream`.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Experiment>,
    /// Shorter runs, and this crate's client alone; the promises are the same.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The folder that the plots are written to.
    #[arg(long, value_name = "FOLDER", default_value = "target/vip_failover")]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Experiment {
    /// The leader dies, and its address refuses connections for a while.
    Outage,
    /// The address moves, and its old connections are black holes.
    Hole,
    /// The address leads to two servers for a second.
    Two,
    /// A stream of numbers over 20 failovers.
    Stream,
    /// A deadline on its way through three servers.
    Chain,
}

impl Args {
    /// What to run, in order.
    pub(crate) fn experiments(&self) -> impl Iterator<Item = Experiment> {
        let all = Experiment::value_variants().iter().copied();
        all.filter(|experiment| self.only.is_empty() || self.only.contains(experiment))
    }
}
