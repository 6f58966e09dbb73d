//! One client's run in figures.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::args::Client;
use crate::cluster::Cluster;
use crate::count::Attempts;
use crate::down::Down;
use crate::kills::Failover;
use crate::record::{Failed, Record, Tally};
use crate::referee::{Referee, applied_more_than_once, missing_on_any};
use grpc_resilience_examples::Failure;

#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) client: &'static str,
    pub(crate) seconds: f64,
    pub(crate) calls: u64,
    pub(crate) declared: Class,
    pub(crate) undeclared: Class,
    pub(crate) longest_call_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) leaderless_ms: Spread,
    pub(crate) first_success_after_election_ms: Spread,
    pub(crate) acknowledged_writes: usize,
    pub(crate) acknowledged_writes_missing: usize,
    pub(crate) puts_applied_more_than_once: usize,
    pub(crate) undeclared_applied_more_than_once: usize,
    pub(crate) undeclared_begun_more_than_once: usize,
    pub(crate) undeclared_failed_on_killed: usize,
    pub(crate) undeclared_failed_elsewhere: usize,
    /// Of a declared call, while there was a leader.
    pub(crate) longest_under_a_leader_ms: f64,
    pub(crate) leaders_that_stepped_down: usize,
    pub(crate) down: Option<Down>,
}

/// Calls of the declared methods, or of the undeclared one.
#[derive(Debug, Serialize)]
pub(crate) struct Class {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) failed_by_code: BTreeMap<String, u64>,
    pub(crate) attempts: u64,
    pub(crate) attempts_per_call: f64,
    pub(crate) longest_ms: f64,
    /// What failed calls were told, and how often.
    pub(crate) words: BTreeMap<String, u64>,
}

/// Over all kills.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) worst: f64,
}

/// All there is to know about a run, once the cluster is quiet.
pub(crate) struct Run<'a> {
    pub(crate) client: Client,
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    pub(crate) record: Record,
    pub(crate) attempts: &'a Attempts,
    pub(crate) failovers: Vec<Failover>,
    pub(crate) referee: &'a Referee,
    pub(crate) cluster: &'a Cluster,
}

impl Run<'_> {
    pub(crate) fn sum_up(self) -> Result<Outcome, Failure> {
        let Self {
            record,
            attempts,
            failovers,
            referee,
            ..
        } = self;
        let disks = self.cluster.disks();
        let gaps = failovers
            .iter()
            .map(|f| f.elected_at - f.killed_at)
            .collect();
        let reigns = &referee.reigns;
        let (on_killed, elsewhere): (Vec<_>, Vec<_>) = record
            .failed_appends
            .iter()
            .partition(|call| failovers.iter().any(|it| it.had(call, self.client)));
        let waits = first_success_after_each(&failovers, record.successes, self.ended);
        let slow = record.slow.iter().map(|(from, to)| reigns.led(*from, *to));
        Ok(Outcome {
            client: self.client.name(),
            seconds: (self.ended - self.started).as_secs_f64(),
            calls: record.declared.calls + record.undeclared.calls,
            longest_call_ms: ms_of_us(record.latency.max())?,
            p50_ms: ms_of_us(record.latency.value_at_quantile(0.5))?,
            p99_ms: ms_of_us(record.latency.value_at_quantile(0.99))?,
            declared: Class::new(record.declared, attempts.declared())?,
            undeclared: Class::new(record.undeclared, attempts.undeclared())?,
            leaderless_ms: Spread::of(gaps),
            first_success_after_election_ms: Spread::of(waits),
            acknowledged_writes: record.acknowledged.len(),
            acknowledged_writes_missing: missing_on_any(&disks, &record.acknowledged),
            puts_applied_more_than_once: applied_more_than_once(&disks, &record.puts),
            undeclared_applied_more_than_once: applied_more_than_once(&disks, &record.appends),
            undeclared_begun_more_than_once: referee.calls_that_began_more_than_once(),
            undeclared_failed_on_killed: on_killed.len(),
            undeclared_failed_elsewhere: elsewhere.len(),
            longest_under_a_leader_ms: slow.max().unwrap_or_default().as_secs_f64() * 1000.0,
            leaders_that_stepped_down: reigns.stepped_down(self.started, self.ended),
            down: None,
        })
    }
}

impl Failover {
    /// Whether the call was in flight on the killed node, as far as the client can know the node.
    fn had(&self, call: &Failed, client: Client) -> bool {
        let is_there = match &call.node {
            Some(node) => *node == self.killed.to_string(),
            None => !client.knows_nodes(),
        };
        is_there && call.started <= self.dead_at && self.killed_at <= call.ended
    }
}

impl Class {
    fn new(tally: Tally, attempts: u64) -> Result<Self, Failure> {
        let per_call =
            f64::from(u32::try_from(attempts)?) / f64::from(u32::try_from(tally.calls.max(1))?);
        Ok(Self {
            calls: tally.calls,
            failed: tally.failures(),
            failed_by_code: tally.failed,
            attempts,
            attempts_per_call: per_call,
            longest_ms: tally.longest.as_secs_f64() * 1000.0,
            words: tally.words,
        })
    }
}

impl Spread {
    fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let ms = |duration: Option<&Duration>| duration.map_or(0.0, |d| d.as_secs_f64() * 1000.0);
        Self {
            median: ms(durations.get(durations.len() / 2)),
            worst: ms(durations.last()),
        }
    }
}

/// The time from each election to the first success after it; where there was none, to the end of
/// the run.
fn first_success_after_each(
    failovers: &[Failover],
    mut successes: Vec<Instant>,
    ended: Instant,
) -> Vec<Duration> {
    successes.sort_unstable();
    let wait = |elected_at| {
        let first = successes.partition_point(|&success| success < elected_at);
        *successes.get(first).unwrap_or(&ended) - elected_at
    };
    failovers
        .iter()
        .map(|failover| wait(failover.elected_at))
        .collect()
}

fn ms_of_us(us: u64) -> Result<f64, Failure> {
    Ok(f64::from(u32::try_from(us)?) / 1000.0)
}
