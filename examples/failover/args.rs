//! The command line.

use clap::{Parser, ValueEnum};

/// Kills a Raft leader again and again and shows how five gRPC clients get through it.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// How often the leader is killed, per client.
    #[arg(long, default_value_t = 20)]
    pub(crate) kills: u32,
    /// How many workers call at the same time.
    #[arg(long, default_value_t = 10)]
    pub(crate) workers: u32,
    /// Decides the calls each worker makes, and when the leader is killed.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Which client to run.
    #[arg(long, value_enum, default_value_t = Choice::All)]
    pub(crate) client: Choice,
    /// Print JSON instead of the table.
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
    Recipe,
    /// 3: the same, under this crate as the README sets it up.
    #[value(alias = "3")]
    Readme,
    /// 4: the same, under this crate tuned for the cluster.
    #[value(alias = "4")]
    Tuned,
    /// 5: client 4 over this crate's own channel.
    #[value(alias = "5")]
    Own,
    /// One after the other.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Tonic,
    Recipe,
    Readme,
    Tuned,
    Own,
}

impl Client {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tonic => "1 tonic",
            Self::Recipe => "2 tonic, retry by hand",
            Self::Readme => "3 grpc-resilience, README",
            Self::Tuned => "4 grpc-resilience, tuned",
            Self::Own => "5 grpc-resilience, own channel",
        }
    }
}

impl Choice {
    pub(crate) const fn clients(self) -> &'static [Client] {
        match self {
            Self::Tonic => &[Client::Tonic],
            Self::Recipe => &[Client::Recipe],
            Self::Readme => &[Client::Readme],
            Self::Tuned => &[Client::Tuned],
            Self::Own => &[Client::Own],
            Self::All => &[
                Client::Tonic,
                Client::Recipe,
                Client::Readme,
                Client::Tuned,
                Client::Own,
            ],
        }
    }
}
