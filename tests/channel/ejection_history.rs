//! How soon a server is out that fails a part of its calls: the calls before count, too.

use std::time::Duration;

use grpc_resilience::channel::pick::RoundRobin;
use tokio::time::{Instant, sleep};

use crate::common::MS;
use crate::common::manner::Manner;
use crate::ejection::{Cluster, INTERNAL, S, called_at, cluster, declared, ejected, picking};

/// How long a server fails this part of its 100 calls a second until it is out, after it answered
/// all of them for some time.
async fn out_after(history: Duration, percent: usize) -> Duration {
    let manners = [5; 4].map(Manner::taking);
    let Cluster { channel, hosts, .. } = cluster(&manners, picking(RoundRobin::new())).await;
    called_at(&channel, 400, history, |_| declared()).await;
    manners[0].fail(percent, INTERNAL);
    let (start, callers) = (Instant::now(), channel.clone());
    let calls = async move { called_at(&callers, 400, 20 * S, |_| declared()).await };
    let calls = tokio::spawn(calls);
    while ejected(&channel).is_empty() {
        assert!(!calls.is_finished(), "{history:?}, {percent} %: never out");
        sleep(10 * MS).await;
    }
    calls.abort();
    assert_eq!(ejected(&channel), [0]);
    drop(hosts);
    start.elapsed()
}

// CONTRACT O2; issue 23: 30 % errors at 100 calls/s
#[tokio::test(start_paused = true)]
async fn a_server_that_fails_a_part_of_its_calls_is_out_sooner_the_shorter_its_good_past_is() {
    for (history, percent, earliest, latest) in [
        // More than 20 calls of each, so that the rates are known.
        (Duration::ZERO, 30, 200 * MS, 500 * MS),
        // Failures of 0.3 t are more than a fifth of 2 s + t.
        (2 * S, 30, 3_950 * MS, 4_100 * MS),
        // More than a fifth of the window, which is nine seconds and a part of one.
        (10 * S, 30, 5_950 * MS, 6_750 * MS),
        (10 * S, 50, 3_550 * MS, 4_100 * MS),
        (10 * S, 100, 1_750 * MS, 2_100 * MS),
    ] {
        let took = out_after(history, percent).await;
        let case = format!("{percent} % after {history:?} of good calls: {took:?}");
        println!("{case}");
        assert!((earliest..=latest).contains(&took), "{case}");
    }
}
