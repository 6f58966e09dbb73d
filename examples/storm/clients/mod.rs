//! The clients that are compared, each over a channel of its own: at most four attempts, on
//! UNAVAILABLE; backoff and budget are what each calls its default.

pub(crate) mod bare;
pub(crate) mod ours;
pub(crate) mod tower_resilience;
pub(crate) mod tower_retry;

use std::net::SocketAddr;

use grpc_resilience_examples::Transport;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::Failure;
use crate::proto::Question;
use crate::proto::storm_client::StormClient;

/// Attempts a call has at most, the first one counted.
pub(crate) const ATTEMPTS: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Resilience,
    TowerRetry,
    TowerResilience,
    Bare,
}

impl Client {
    pub(crate) const ALL: [Self; 4] = [
        Self::Resilience,
        Self::TowerRetry,
        Self::TowerResilience,
        Self::Bare,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Resilience => "grpc-resilience",
            Self::TowerRetry => "tower::retry",
            Self::TowerResilience => "tower-resilience",
            Self::Bare => "bare channel",
        }
    }

    /// What it is set to, and how it was made to fit.
    pub(crate) const fn settings(self) -> &'static str {
        match self {
            Self::Resilience => ours::SETTINGS,
            Self::TowerRetry => tower_retry::SETTINGS,
            Self::TowerResilience => tower_resilience::SETTINGS,
            Self::Bare => bare::SETTINGS,
        }
    }
}

/// A client that can be called many times at once.
pub(crate) trait Caller {
    fn make(&self, call: u32) -> impl Future<Output = Result<(), Status>> + Send + 'static;
}

impl<T: Transport> Caller for StormClient<T> {
    fn make(&self, call: u32) -> impl Future<Output = Result<(), Status>> + Send + 'static {
        let mut client = self.clone();
        async move { client.ask(Question { call }).await.map(drop) }
    }
}

pub(crate) async fn connect(address: SocketAddr) -> Result<Channel, Failure> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .connect()
        .await?)
}
