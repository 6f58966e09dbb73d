//! One follower is down.

use std::time::Duration;

use foreign::Failure;
use foreign::load::Load;
use foreign::promises::Promises;
use foreign::table::Table;
use foreign::tally::Tally;

use crate::calls::{Ours, bare, declared, declared_by_hand, ours};
use crate::cluster::Cluster;

const CALLERS: u32 = 24;
/// Keeps the machine from being the limit: the windows differ by the time that calls wait.
const PAUSE: Duration = Duration::from_millis(25);
const UP: Duration = Duration::from_secs(10);
const DOWN: Duration = Duration::from_secs(20);
const LOOP: Duration = Duration::from_secs(5);
/// The fewest calls with one follower down, as a share of those with all members up: the median.
const SHARE: f64 = 0.95;
/// The fewest in any one window, which other work on the machine may disturb.
const LEAST: f64 = 0.8;

/// Compares windows with one follower down to those with all members up.
pub(crate) async fn run(
    cluster: &mut Cluster,
    times: u32,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let hand = bare(cluster.endpoints()?);
    let (mut up, mut down, mut by_hand) = (Vec::new(), Vec::new(), Vec::new());
    let mut ratios = Vec::new();
    for time in 0..times {
        // A client that has seen no member down yet.
        let client = ours(cluster.endpoints()?)?;
        let leader = cluster.settled().await?;
        let follower = (leader + 1 + time as usize % 2) % 3;
        let before = window(&client, UP).await?;
        cluster.kill(follower).await?;
        let during = window(&client, DOWN).await?;
        let hand = hand.clone();
        let load = Load::new(CALLERS).pause(PAUSE).time(LOOP);
        by_hand.push(
            load.run(move |id| declared_by_hand(hand.clone(), id))
                .await?,
        );
        cluster.restart(follower)?;
        cluster.settled().await?;
        let after = window(&client, UP).await?;
        // Between two windows, which cancels a slow change of the machine.
        let around = f64::midpoint(before.per_second(), after.per_second());
        let ratio = during.per_second() / around;
        println!(
            "  follower down {}: {ratio:.3} of the calls with all up, the longest {:.2?}",
            time + 1,
            during.durations().last()
        );
        ratios.push(ratio);
        up.extend([before, after]);
        down.push(during);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN);
    let least = ratios.first().copied().unwrap_or(f64::NAN);

    let down = Tally::merged(down);
    table.add("all members up", &Tally::merged(up), None);
    table.add("one follower down", &down, None);
    table.add(
        "one follower down, hand loop",
        &Tally::merged(by_hand),
        None,
    );
    promises.measure(
        median >= SHARE && least >= LEAST,
        format!("calls with one follower down, as a share of those with all up: {ratios:.2?}"),
    );
    let failed = down.failed().count();
    promises.check(
        failed == 0,
        format!("{failed} calls failed with one follower down"),
    );
    Ok(())
}

async fn window(client: &Ours, time: Duration) -> Result<Tally, Failure> {
    let client = client.clone();
    let load = Load::new(CALLERS).pause(PAUSE).time(time);
    load.run(move |id| declared(client.clone(), id)).await
}
