//! All members are down at once.

use std::time::Duration;

use foreign::Failure;
use foreign::load::Load;
use foreign::promises::Promises;
use foreign::table::Table;
use foreign::tally::Tally;
use tokio::time::{Instant, sleep};

use crate::calls::{bare, declared, declared_by_hand, ours};
use crate::cluster::Cluster;

const CALLERS: u32 = 12;
const PAUSE: Duration = Duration::from_millis(10);
const BEFORE: Duration = Duration::from_secs(1);
const DOWN: Duration = Duration::from_secs(5);
/// How long the callers go on once the cluster is back.
const AFTER: Duration = Duration::from_secs(3);
/// From the moment when the cluster can serve to the first success.
const LATEST: Duration = Duration::from_secs(1);

pub(crate) async fn run(
    cluster: &mut Cluster,
    times: u32,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let (client, hand) = (ours(cluster.endpoints()?)?, bare(cluster.endpoints()?));
    let (mut our_tallies, mut hand_tallies) = (Vec::new(), Vec::new());
    for time in 1..=times {
        let (client, hand) = (client.clone(), hand.clone());
        let load = Load::new(CALLERS).pause(PAUSE);
        let by_us = load.start(move |id| declared(client.clone(), id));
        let by_hand = load.start(move |id| declared_by_hand(hand.clone(), id));
        sleep(BEFORE).await;
        cluster.kill_all().await?;
        sleep(DOWN).await;
        let restarted = Instant::now();
        cluster.start_all()?;
        let led = cluster.led().await?;
        cluster.settled().await?;
        sleep(AFTER).await;
        let (by_us, by_hand) = (by_us.stop().await?, by_hand.stop().await?);

        let after =
            |tally| first_success(tally, restarted).map(|it| it.saturating_duration_since(led));
        let (our_delay, hand_delay) = (after(&by_us), after(&by_hand));
        println!(
            "  outage {time}: a leader after {:.2?}; the first success then took \
             {our_delay:.2?}, by the loop {hand_delay:.2?}",
            led - restarted
        );
        promises.measure(
            our_delay.is_some_and(|it| it <= LATEST),
            format!("outage {time}: with a leader the first success took {our_delay:.2?}"),
        );
        our_tallies.push(by_us);
        hand_tallies.push(by_hand);
    }
    table.add("all down, ours", &Tally::merged(our_tallies), None);
    table.add("all down, hand loop", &Tally::merged(hand_tallies), None);
    Ok(())
}

fn first_success(tally: &Tally, since: Instant) -> Option<Instant> {
    let good = tally.records().iter().filter(|it| it.failure.is_none());
    good.map(|it| it.start + it.took)
        .filter(|it| *it > since)
        .min()
}
