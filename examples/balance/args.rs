//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Puts channels under load while servers differ, change, fail, die and freeze.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Run these experiments only, as in `--only slow,kill`.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Experiment>,
    /// Shorter runs, and this crate's channel alone; the promises are the same.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The folder that the plots are written to.
    #[arg(long, value_name = "FOLDER", default_value = "target/balance")]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Experiment {
    /// One of three servers is ten times as slow as the others.
    Slow,
    /// 20,000 keys over five servers, then six.
    Shard,
    /// Every half second one of three addresses becomes another; then the resolver is down.
    Swap,
    /// Half of all answers fail.
    Budget,
    /// One of three servers is killed for three seconds.
    Kill,
    /// One of three servers is frozen for five seconds.
    Freeze,
    /// One of three servers is frozen for 40 s; takes 50 s, and runs only if it is named.
    Silent,
}

impl Args {
    /// What to run, in order.
    pub(crate) fn experiments(&self) -> impl Iterator<Item = Experiment> {
        let all = Experiment::value_variants().iter().copied();
        all.filter(|experiment| {
            let is_short = *experiment != Experiment::Silent;
            (self.only.is_empty() && is_short) || self.only.contains(experiment)
        })
    }
}
