//! Both clients under the same load.

use std::net::SocketAddr;
use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{OURS, Record, workers};
use tokio::time::Instant;

use crate::clients::{GUIDE, Guide, Ours};

/// This crate's client, and the guide's beside it unless the run is short.
pub(crate) struct Pair {
    pub(crate) ours: Ours,
    guide: Option<Guide>,
}

impl Pair {
    /// Once they are connected.
    pub(crate) async fn new(vip: SocketAddr, is_short: bool) -> Result<Self, Failure> {
        let ours = Ours::new(vip).await?;
        let guide = if is_short {
            None
        } else {
            Some(Guide::new(vip).await?)
        };
        Ok(Self { ours, guide })
    }

    /// What becomes of the calls of this number of callers of each client; ours is the first.
    pub(crate) async fn work(
        &self,
        callers: u32,
        opening: Instant,
        length: Duration,
    ) -> Vec<(&'static str, Record)> {
        let beside = async {
            match &self.guide {
                Some(guide) => Some(workers(guide, callers, opening, length).await),
                None => None,
            }
        };
        let (ours, beside) = tokio::join!(workers(&self.ours, callers, opening, length), beside);
        let mut records = vec![(OURS, ours)];
        records.extend(beside.map(|record| (GUIDE, record)));
        records
    }
}
