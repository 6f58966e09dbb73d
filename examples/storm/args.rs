//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Puts gRPC clients under load through a storm, and shows what reaches the server.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Run these experiments only, as in `--only outage,flaky`.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Experiment>,
    /// Shorter runs and fewer clients; the promises are the same.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The folder that the plots are written to.
    #[arg(long, value_name = "FOLDER", default_value = "target/storm")]
    pub(crate) out: PathBuf,
    /// How long the server is well before the outage, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pub(crate) healthy: u32,
    /// Decides which answers fail where a share of them does.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Experiment {
    /// The server fails everything for five seconds.
    Outage,
    /// The server fails a tenth of its answers.
    Flaky,
    /// The server is not there yet when it is called.
    Waiting,
    /// The server takes half of what it is offered.
    Limited,
}

impl Experiment {
    /// Whether it runs each [`Client`](crate::clients::Client).
    pub(crate) fn compares_clients(self) -> bool {
        matches!(self, Self::Outage | Self::Flaky)
    }
}

impl Args {
    /// What to run, in order.
    pub(crate) fn experiments(&self) -> impl Iterator<Item = Experiment> {
        let all = Experiment::value_variants().iter().copied();
        all.filter(|experiment| self.only.is_empty() || self.only.contains(experiment))
    }
}
