//! The command line.

use clap::{Parser, ValueEnum};

/// Kills a Raft leader again and again and shows how five gRPC clients get through it.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// How often the leader is killed, per client and seed.
    #[arg(long, default_value_t = 20)]
    pub(crate) kills: u32,
    /// How many workers call at the same time.
    #[arg(long, default_value_t = 10)]
    pub(crate) workers: u32,
    /// The first seed. A seed decides the calls each worker makes, and when the leader is killed.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many seeds to run, one after the other.
    #[arg(long, default_value_t = 1)]
    pub(crate) seeds: u64,
    /// Which client to run.
    #[arg(long, value_enum, default_value_t = Choice::All)]
    pub(crate) client: Choice,
    /// Print JSON instead of the tables: a list with a report for each seed.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Choice {
    /// 1: tonic's `balance_list`.
    #[value(alias = "1")]
    Tonic,
    /// 2: the same, in a retry loop written by hand.
    #[value(alias = "2")]
    Loop,
    /// 3: tonic's `balance_channel`, gated by health and retried as raft-grpc-leader-rpc advises.
    #[value(alias = "3")]
    Recipe,
    /// 4: this crate's layers over tonic's `balance_list`.
    #[value(alias = "4")]
    Layers,
    /// 5: this crate's layers over its own channel, as the README sets them up.
    #[value(alias = "5")]
    Channel,
    /// One after the other.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Tonic,
    Loop,
    Recipe,
    Layers,
    Channel,
}

impl Client {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tonic => "1 tonic",
            Self::Loop => "2 tonic, loop",
            Self::Recipe => "3 tonic, health by hand",
            Self::Layers => "4 layers over tonic",
            Self::Channel => "5 grpc-resilience",
        }
    }

    /// Whether its errors name the node that had the call. If they do, one that names none was
    /// never sent.
    pub(crate) const fn knows_nodes(self) -> bool {
        matches!(self, Self::Channel)
    }
}

impl Choice {
    pub(crate) const fn clients(self) -> &'static [Client] {
        match self {
            Self::Tonic => &[Client::Tonic],
            Self::Loop => &[Client::Loop],
            Self::Recipe => &[Client::Recipe],
            Self::Layers => &[Client::Layers],
            Self::Channel => &[Client::Channel],
            Self::All => &[
                Client::Tonic,
                Client::Loop,
                Client::Recipe,
                Client::Layers,
                Client::Channel,
            ],
        }
    }
}

impl Args {
    pub(crate) fn seeds(&self) -> impl Iterator<Item = u64> {
        (0..self.seeds).map(|number| self.seed.wrapping_add(number))
    }
}
