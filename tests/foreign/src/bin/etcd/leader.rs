//! The leader is killed again and again.

use std::time::Duration;

use foreign::Failure;
use foreign::load::Load;
use foreign::promises::Promises;
use foreign::table::Table;
use tokio::time::sleep;

use crate::calls::{applied, bare, declared, increment, increment_by_hand, ours};
use crate::cluster::Cluster;

const DECLARED_CALLERS: u32 = 12;
const UNDECLARED_CALLERS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(10);
/// Short, so that each kill meets several increments under way.
const SHORT_PAUSE: Duration = Duration::from_millis(2);
/// Before each kill, with all members up.
const UP: Duration = Duration::from_secs(2);
/// Longer than an election and an attempt.
const DOWN: Duration = Duration::from_secs(3);
const LEAST_CALLS: usize = 3_000;

pub(crate) async fn run(
    cluster: &mut Cluster,
    kills: u32,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let client = ours(cluster.endpoints()?)?;
    let counting = client.clone();
    let declared = Load::new(DECLARED_CALLERS)
        .pause(PAUSE)
        .start(move |id| declared(client.clone(), id));
    let undeclared = Load::new(UNDECLARED_CALLERS)
        .pause(SHORT_PAUSE)
        .start(move |id| increment(counting.clone(), id));
    let hand = bare(cluster.endpoints()?);
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
    let (declared, undeclared) = (declared.stop().await?, undeclared.stop().await?);
    let by_hand = by_hand.stop().await?;
    let applied = applied(bare(cluster.endpoints()?)).await?;
    table.add("leader killed, declared", &declared, None);
    table.add("leader killed, undeclared", &undeclared, Some(&applied));
    table.add("leader killed, eager loop", &by_hand, Some(&applied));

    let failed = declared.failed().count();
    let calls = declared.calls();
    promises.check(
        calls >= LEAST_CALLS,
        format!("{calls} declared calls, at least {LEAST_CALLS} are wanted"),
    );
    promises.check(
        failed == 0,
        format!(
            "{failed} of {calls} declared calls failed while the leader was killed {kills} times"
        ),
    );
    let twice = applied.twice(&undeclared);
    promises.check(twice.is_empty(), format!("applied twice: {twice:?}"));
    let lost = applied.unseen(&undeclared);
    promises.check(
        lost.is_empty(),
        format!("succeeded and not applied: {lost:?}"),
    );
    Ok(())
}
