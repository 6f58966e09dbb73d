//! The command line.

use clap::{Parser, ValueEnum};

/// Watches a store through kills, freezes, clean ends and compaction.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Run these experiments only, as in `--only kills,compactions`.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Experiment>,
    /// Fewer of each; the promises are the same.
    #[arg(long)]
    pub(crate) quick: bool,
}

/// What is done to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Experiment {
    /// It dies, and is back 300 ms later.
    Kills,
    /// Nothing passes to it for two seconds, and nothing says so.
    Freezes,
    /// It ends each stream with OK after 50 responses.
    Ends,
    /// It dies, and has compacted what was missed when it is back.
    Compactions,
}

impl Experiment {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kills => "kills",
            Self::Freezes => "freezes",
            Self::Ends => "clean ends",
            Self::Compactions => "compactions",
        }
    }

    /// How often it is done.
    pub(crate) fn times(self, is_quick: bool) -> u32 {
        match (self, is_quick) {
            (Self::Kills, false) => 20,
            (Self::Kills, true) => 4,
            (Self::Freezes, false) => 5,
            (Self::Freezes, true) => 1,
            // Seconds.
            (Self::Ends | Self::Compactions, false) => 10,
            (Self::Ends | Self::Compactions, true) => 3,
        }
    }
}

impl Args {
    /// What to run, in order.
    pub(crate) fn experiments(&self) -> impl Iterator<Item = Experiment> {
        let all = Experiment::value_variants().iter().copied();
        all.filter(|experiment| self.only.is_empty() || self.only.contains(experiment))
    }
}
