//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Shows channels that are warm, while servers behind a name die, return and move.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Run these experiments only, as in `--only idle,kills`.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Experiment>,
    /// Shorter runs, and this crate's channel alone; the promises are the same.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The folder that the plots are written to.
    #[arg(long, value_name = "FOLDER", default_value = "target/warm")]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Experiment {
    /// The first call after a pause.
    Idle,
    /// Every second one of three servers is killed.
    Kills,
    /// A server comes back after two seconds.
    Restart,
    /// The name moves from three servers to three others.
    Moved,
    /// The name grows from one server to ten.
    Scale,
    /// One of three servers says `NOT_SERVING`, then all of them.
    Unhealthy,
    /// Calls one by one, beside a bare connection of tonic's.
    Latency,
}

impl Args {
    /// What to run, in order.
    pub(crate) fn experiments(&self) -> impl Iterator<Item = Experiment> {
        let all = Experiment::value_variants().iter().copied();
        all.filter(|experiment| self.only.is_empty() || self.only.contains(experiment))
    }
}
