//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Shows rollouts through Consul that lose no call.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// The HTTP interface of a real Consul agent, as `127.0.0.1:8500` or with `http://` before it.
    #[arg(long, value_name = "URL", value_parser = agent)]
    pub(crate) consul: Option<SocketAddr>,
    /// Run these experiments only, as in `--only rollouts,crash`.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Experiment>,
    /// Two rollouts instead of ten, and shorter outages; the promises are the same.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The folder that the plot is written to.
    #[arg(long, value_name = "FOLDER", default_value = "target/blue_green")]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Experiment {
    /// Blue replaces green, green replaces blue, and so on.
    Rollouts,
    /// The agent dies, forgets, fails and says nonsense.
    Outages,
    /// The service changes 50 times a second.
    Updates,
    /// An instance is killed.
    Crash,
}

impl Args {
    /// What to run, in order.
    pub(crate) fn experiments(&self) -> impl Iterator<Item = Experiment> {
        let all = Experiment::value_variants().iter().copied();
        all.filter(|experiment| self.only.is_empty() || self.only.contains(experiment))
    }
}

fn agent(text: &str) -> Result<SocketAddr, String> {
    let address = text.trim_start_matches("http://").trim_end_matches('/');
    address
        .parse()
        .map_err(|_| format!("`{text}` is no `address:port`"))
}
