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
const LOOP: Duration = Duration::from_secs(10);
/// The fewest calls with one follower down, as a share of those with all members up.
const SHARE: f64 = 0.95;

/// Alternates between windows with all members up and with one follower down.
pub(crate) async fn run(
    cluster: &mut Cluster,
    times: u32,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let client = ours(cluster.endpoints()?)?;
    let hand = bare(cluster.endpoints()?);
    let (mut up, mut down, mut by_hand) =
        (vec![window(&client, UP).await?], Vec::new(), Vec::new());
    for time in 0..times {
        let leader = cluster.settled().await?;
        let follower = (leader + 1 + time as usize % 2) % 3;
        cluster.kill(follower).await?;
        down.push(window(&client, DOWN).await?);
        let hand = hand.clone();
        let load = Load::new(CALLERS).pause(PAUSE).time(LOOP);
        by_hand.push(
            load.run(move |id| declared_by_hand(hand.clone(), id))
                .await?,
        );
        cluster.restart(follower)?;
        cluster.settled().await?;
        up.push(window(&client, UP).await?);
    }
    // Each window is compared with the two beside it, which cancels a slow change of the machine.
    let around = up.windows(2).map(rate);
    for (time, window) in down.iter().enumerate() {
        println!(
            "  follower down {}: {} calls over 500 ms, the longest {:.2?}",
            time + 1,
            window.over(Duration::from_millis(500)),
            window.durations().last()
        );
    }
    let mut ratios: Vec<_> = down
        .iter()
        .zip(around)
        .map(|(it, around)| it.per_second() / around)
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN);

    let down = Tally::merged(down);
    table.add("all members up", &Tally::merged(up), None);
    table.add("one follower down", &down, None);
    table.add(
        "one follower down, hand loop",
        &Tally::merged(by_hand),
        None,
    );
    promises.check(
        median >= SHARE,
        format!("calls with one follower down: {median:.2} of those with all up: {ratios:.2?}"),
    );
    let failed = down.failed().count();
    promises.check(
        failed == 0,
        format!("{failed} calls failed with one follower down"),
    );
    println!("  one follower down: {median:.3} of the calls with all up: {ratios:.3?}");
    Ok(())
}

async fn window(client: &Ours, time: Duration) -> Result<Tally, Failure> {
    let client = client.clone();
    let load = Load::new(CALLERS).pause(PAUSE).time(time);
    load.run(move |id| declared(client.clone(), id)).await
}

#[expect(clippy::cast_precision_loss, reason = "a handful of windows")]
fn rate(windows: &[Tally]) -> f64 {
    windows.iter().map(Tally::per_second).sum::<f64>() / windows.len() as f64
}
