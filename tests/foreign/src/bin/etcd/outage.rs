//! All members are down at once.

use std::sync::Arc;
use std::time::Duration;

use foreign::Failure;
use foreign::load::{CallId, Load};
use foreign::over::{Over, Sends};
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
/// From the moment when the cluster can serve to the first success, beyond what a call takes then
/// over a connection that is made for it.
const LATEST: Duration = Duration::from_secs(1);

pub(crate) async fn run(
    cluster: &mut Cluster,
    times: u32,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let members = cluster.uris();
    let hand = bare(&members)?;
    let (mut all, mut by_hand) = (Vec::new(), Vec::new());
    for over in Over::BOTH {
        let client = ours(over, &members, &Arc::<Sends>::default())?;
        all.push((over, client, Vec::new()));
    }
    for time in 1..=times {
        let load = Load::new(CALLERS).pause(PAUSE);
        let mut running = Vec::new();
        for (_, client, _) in &all {
            let client = client.clone();
            running.push(load.start(move |id| declared(client.clone(), id)));
        }
        let hand = hand.clone();
        let hand = load.start(move |id| declared_by_hand(hand.clone(), id));
        sleep(BEFORE).await;
        cluster.kill_all().await?;
        sleep(DOWN).await;
        let restarted = Instant::now();
        cluster.start_all()?;
        let led = cluster.led().await?;
        // If it fails, its whole deadline is what it took.
        let _ended = declared_by_hand(bare(&members)?, CallId::next()).await;
        let new_client = led.elapsed();
        cluster.settled().await?;
        sleep(AFTER).await;

        println!(
            "  outage {time}: a leader after {:.2?}; a new client's first success then took \
             {new_client:.2?}",
            led - restarted
        );
        let after = |tally: &Tally| {
            first_success(tally, restarted).map(|it| it.saturating_duration_since(led))
        };
        for ((over, _, tallies), running) in all.iter_mut().zip(running) {
            let tally = running.stop().await?;
            let delay = after(&tally);
            println!("  outage {time}, {over}: the first success took {delay:.2?}");
            promises.measure(
                delay.is_some_and(|it| it <= LATEST + new_client),
                format!(
                    "outage {time}, {over}: with a leader the first success took {delay:.2?}, a \
                     new client's {new_client:.2?}"
                ),
            );
            tallies.push(tally);
        }
        let tally = hand.stop().await?;
        println!("  outage {time}, by the loop: {:.2?}", after(&tally));
        by_hand.push(tally);
    }
    for (over, _, tallies) in all {
        table.add(&format!("all down, {over}"), &Tally::merged(tallies), None);
    }
    table.add("all down, hand loop", &Tally::merged(by_hand), None);
    Ok(())
}

fn first_success(tally: &Tally, since: Instant) -> Option<Instant> {
    let good = tally.records().iter().filter(|it| it.failure.is_none());
    good.map(|it| it.start + it.took)
        .filter(|it| *it > since)
        .min()
}
