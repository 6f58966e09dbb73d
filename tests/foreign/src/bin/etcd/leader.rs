//! The leader is killed again and again.

use std::sync::Arc;
use std::time::Duration;

use foreign::Failure;
use foreign::load::{Load, Running};
use foreign::oracle::Oracle;
use foreign::over::{Over, Sends};
use foreign::promises::Promises;
use foreign::table::Table;
use foreign::tally::Tally;
use tokio::time::sleep;

use crate::calls::{applied, bare, declared, increment, increment_by_hand, ours};
use crate::cluster::Cluster;
use crate::leadership::Leadership;

const DECLARED_CALLERS: u32 = 12;
const UNDECLARED_CALLERS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(10);
/// Short, so that each kill meets several increments under way.
const SHORT_PAUSE: Duration = Duration::from_millis(5);
/// Before each kill, with all members up.
const UP: Duration = Duration::from_secs(2);
/// Longer than an election and an attempt.
const DOWN: Duration = Duration::from_secs(3);
/// Of each client; a slow machine takes longer to make them.
const LEAST_CALLS: u64 = 3_000;
const POLL: Duration = Duration::from_millis(100);

/// The loads of one client.
struct Loads {
    over: Over,
    declared: Running,
    undeclared: Running,
}

impl Loads {
    fn start(over: Over, members: &[String]) -> Result<Self, Failure> {
        let client = ours(over, members, &Arc::<Sends>::default())?;
        let counting = client.clone();
        Ok(Self {
            over,
            declared: Load::new(DECLARED_CALLERS)
                .pause(PAUSE)
                .start(move |id| declared(client.clone(), id)),
            undeclared: Load::new(UNDECLARED_CALLERS)
                .pause(SHORT_PAUSE)
                .start(move |id| increment(counting.clone(), id)),
        })
    }

    async fn stop(self) -> Result<Ended, Failure> {
        let (declared, undeclared) =
            tokio::try_join!(self.declared.stop(), self.undeclared.stop())?;
        Ok(Ended {
            over: self.over,
            declared,
            undeclared,
        })
    }
}

pub(crate) async fn run(
    cluster: &mut Cluster,
    kills: u32,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let members = cluster.uris();
    let leadership = Leadership::watch(members.clone());
    let mut loads = Vec::new();
    for over in Over::BOTH {
        loads.push(Loads::start(over, &members)?);
    }
    let hand = bare(&members)?;
    let by_hand = Load::new(UNDECLARED_CALLERS)
        .pause(SHORT_PAUSE)
        .start(move |id| increment_by_hand(hand.clone(), id));
    for _ in 0..kills {
        sleep(UP).await;
        let leader = cluster.settled().await?;
        cluster.kill(leader).await?;
        sleep(DOWN).await;
        cluster.restart(leader)?;
        cluster.settled().await?;
    }
    sleep(UP).await;
    while loads.iter().any(|it| it.declared.begun() < LEAST_CALLS) {
        sleep(POLL).await;
    }
    let mut ended = Vec::new();
    for loads in loads {
        ended.push(loads.stop().await?);
    }
    let by_hand = by_hand.stop().await?;
    let applied = applied(bare(&members)?).await?;
    for ended in ended {
        ended.check(kills, &leadership, &applied, table, promises);
    }
    table.add("leader killed, eager loop", &by_hand, Some(&applied));
    Ok(())
}

/// How the calls of one client went.
struct Ended {
    over: Over,
    declared: Tally,
    undeclared: Tally,
}

impl Ended {
    fn check(
        &self,
        kills: u32,
        leadership: &Leadership,
        applied: &Oracle,
        table: &mut Table,
        promises: &mut Promises,
    ) {
        let Self {
            over,
            declared,
            undeclared,
        } = self;
        let name = |calls| format!("leader killed, {calls}, {over}");
        table.add(&name("declared"), declared, None);
        table.add(&name("undeclared"), undeclared, Some(applied));
        let (failed, leaderless) = leadership.judge(declared);
        promises.check(
            failed.is_empty(),
            format!(
                "{over}: {} of {} declared calls failed while the leader was killed {kills} times, \
                 beside {leaderless} that had no leader for half of their deadline: {:?}",
                failed.len(),
                declared.calls(),
                failed.first(),
            ),
        );
        let twice = applied.twice(undeclared);
        promises.check(
            twice.is_empty(),
            format!("{over}: applied twice: {twice:?}"),
        );
        let lost = applied.unseen(undeclared);
        promises.check(
            lost.is_empty(),
            format!("{over}: succeeded and not applied: {lost:?}"),
        );
    }
}
