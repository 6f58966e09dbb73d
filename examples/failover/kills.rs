//! The schedule: kill the leader, wait for the next one, restart the killed one, wait until it has
//! rejoined; repeat.

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep, sleep_until};

use crate::cluster::Cluster;
use crate::progress::Progress;
use grpc_resilience_examples::Failure;

const CALM_AT_START: Duration = Duration::from_millis(500);
const BETWEEN_KILLS_MS: std::ops::Range<u64> = 1500..1700;
const DEAD_AFTER_ELECTION: Duration = Duration::from_millis(300);

/// When the leader is to be killed, counted from the start of the calls.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    kills: Vec<Duration>,
}

impl Schedule {
    pub(crate) fn new(kills: u32, seed: u64) -> Self {
        let mut dice = SmallRng::seed_from_u64(seed);
        let mut at = CALM_AT_START;
        let mut next = || {
            at += Duration::from_millis(dice.random_range(BETWEEN_KILLS_MS));
            at
        };
        Self {
            kills: (0..kills).map(|_| next()).collect(),
        }
    }

    /// Kills on schedule, or as soon after as the node killed before has rejoined.
    pub(crate) async fn carry_out(
        &self,
        cluster: &mut Cluster,
        progress: &Progress,
    ) -> Result<Vec<Failover>, Failure> {
        let start = Instant::now();
        let mut failovers = Vec::new();
        for kill in &self.kills {
            sleep_until(start + *kill).await;
            failovers.push(fail_over(cluster).await?);
            progress.saw_kill();
        }
        sleep(CALM_AT_START).await;
        Ok(failovers)
    }
}

/// One death of a leader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failover {
    pub(crate) killed: SocketAddr,
    pub(crate) killed_at: Instant,
    /// Nothing of the node runs any more.
    pub(crate) dead_at: Instant,
    pub(crate) elected_at: Instant,
}

async fn fail_over(cluster: &mut Cluster) -> Result<Failover, Failure> {
    let old = cluster.leader().await?;
    let killed_at = cluster.kill(old.id)?;
    let (dead_at, new) = tokio::try_join!(
        cluster.wait_until_dead(old.id),
        cluster.elected_after(old.term)
    )?;
    sleep_until(new.seen_at + DEAD_AFTER_ELECTION).await;
    cluster.restart(old.id).await?;
    cluster.wait_until_rejoined(old.id).await?;
    Ok(Failover {
        killed: cluster.address(old.id)?,
        killed_at,
        dead_at,
        elected_at: new.seen_at,
    })
}
