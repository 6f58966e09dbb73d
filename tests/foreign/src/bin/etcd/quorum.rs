//! A member without a quorum, which answers attempts at the end of the time that they tell it.

use std::time::Duration;

use foreign::Failure;
use foreign::load::CallId;
use foreign::over::Over;
use foreign::promises::Promises;
use foreign::table::Table;
use foreign::tally::{Record, Tally};
use grpc_resilience::GiveUp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::calls::{DEADLINE, declared, ours_to};
use crate::cluster::Cluster;

const TIMEOUTS: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_millis(1_500),
];
const CALLS: usize = 40;

/// Calls that may be repeated, all at once: none fails for good while it has time left.
pub(crate) async fn run(
    version: &str,
    cluster: &mut Cluster,
) -> Result<Vec<(String, Tally)>, Failure> {
    let member = cluster.isolate_one().await?;
    let mut tallies = Vec::new();
    for timeout in TIMEOUTS {
        let (ours, tonics) = tokio::try_join!(
            calls(version, Over::Ours, &member, timeout),
            calls(version, Over::Tonic, &member, timeout)
        )?;
        tallies.extend([ours, tonics]);
    }
    cluster.restart_others()?;
    cluster.settled().await?;
    Ok(tallies)
}

/// One client's calls, and what they are called.
async fn calls(
    version: &str,
    over: Over,
    member: &str,
    timeout: Duration,
) -> Result<(String, Tally), Failure> {
    let client = ours_to(over, member, timeout)?;
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let client = client.clone();
        calls.spawn(async move {
            let (id, start) = (CallId::next(), Instant::now());
            let ended = declared(client, id).await;
            Record::new(id, start, &ended)
        });
    }
    let tally = Tally::new(calls.join_all().await, start.elapsed());
    let name = format!("{version}, no quorum, attempts of {timeout:?}, {over}");
    Ok((name, tally))
}

/// Holds the calls to the promise.
pub(crate) fn check(tallies: &[(String, Tally)], table: &mut Table, promises: &mut Promises) {
    for (name, tally) in tallies {
        table.add(name, tally, None);
        // Why is said by the crate; how long it took by the caller's clock.
        let early = tally.failed().filter(|(call, failed)| {
            !failed.gave_up(GiveUp::Deadline) || call.took < DEADLINE.mul_f64(0.8)
        });
        let early = early.count();
        promises.check(
            tally.calls() == CALLS && early == 0,
            format!("{name}: {early} of {CALLS} declared calls failed for good with time left"),
        );
    }
}
