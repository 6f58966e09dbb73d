//! A drain under calls, streams and peers that never let go.

use std::sync::Arc;

use grpc_resilience::Drain;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::site::{MS, Net, SECOND, Site, call, stream};
use crate::stuck::{dead_reader, half_open, is_closed};

// CONTRACT E1, E2, E3
#[tokio::test(start_paused = true)]
async fn all_calls_that_can_end_do_and_the_server_is_gone_at_the_grace_whatever_sockets_do() {
    let mut old = Site::new(Drain::builder());
    let new = Site::new(Drain::builder());
    let channel = Net::of([("10.0.0.1:1", &old), ("10.0.0.2:1", &new)]).channel();
    channel.get_ref().connected(SECOND).await.unwrap();

    let mut stuck = Vec::new();
    for _ in 0..5 {
        stuck.push(old.dial().unwrap());
    }
    let frozen = [dead_reader(&old).await, half_open(&old).await];

    let mut callers = JoinSet::new();
    let begin = Instant::now();
    for caller in 0..100_u32 {
        let channel = channel.clone();
        // Each calls on through the whole drain; the longest calls take 9.9 s.
        callers.spawn(async move {
            while begin.elapsed() < 30 * SECOND {
                call(&channel, 100 * MS * (caller + 1)).await.unwrap();
            }
        });
    }
    let mut streams = JoinSet::new();
    for _ in 0..20 {
        let channel = channel.clone();
        streams.spawn(async move {
            let mut opened = 0;
            while begin.elapsed() < 30 * SECOND {
                assert!(stream(&channel).await.unwrap() > 0);
                opened += 1;
            }
            opened
        });
    }
    sleep(SECOND).await;
    let drained = Instant::now();
    old.drain.start();
    let (ended, after) = old.ended_after(drained).await;
    assert_eq!(ended, Ok(()));
    assert!(
        (25 * SECOND..=25 * SECOND + 100 * MS).contains(&after),
        "{after:?}"
    );
    for socket in stuck {
        assert!(is_closed(socket).await);
    }
    // All have ended but those of the two clients that were frozen.
    let (started, finished) = old.count.both();
    assert_eq!(started - finished, frozen.len());
    assert!(finished > 200, "the old server took part: {finished}");
    // Its tasks see the end of their connections.
    sleep(MS).await;
    assert_eq!(
        Arc::strong_count(&old.count),
        1,
        "no handler of the server is left"
    );

    sleep(5 * SECOND).await;
    new.drain.start();
    callers.join_all().await;
    streams.join_all().await;
}

// CONTRACT E1, E3
#[tokio::test(start_paused = true)]
async fn a_server_ends_with_its_last_call_and_does_not_wait_for_the_grace() {
    let mut site = Site::new(Drain::builder());
    let channel = Net::of([("10.0.0.1:1", &site)]).channel();
    let begin = Instant::now();
    let long = tokio::spawn({
        let channel = channel.clone();
        async move { call(&channel, 20 * SECOND).await }
    });
    sleep(SECOND).await;
    site.drain.start();
    let (ended, after) = site.ended_after(begin).await;
    assert_eq!(ended, Ok(()));
    assert!(
        (20 * SECOND..20 * SECOND + 50 * MS).contains(&after),
        "{after:?}"
    );
    long.await.unwrap().unwrap();
    assert_eq!(site.count.both(), (1, 1));
}

// CONTRACT E3
#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_end_within_the_grace_fails_at_the_hard_stop() {
    let mut site = Site::new(Drain::builder());
    let channel = Net::of([("10.0.0.1:1", &site)]).channel();
    let begin = Instant::now();
    let long = tokio::spawn({
        let channel = channel.clone();
        async move {
            let ended = call(&channel, 60 * SECOND).await;
            (ended, begin.elapsed())
        }
    });
    tokio::task::yield_now().await;
    site.drain.start();
    let (_, after) = site.ended_after(begin).await;
    assert!(
        (25 * SECOND..=25 * SECOND + 10 * MS).contains(&after),
        "{after:?}"
    );
    let (ended, after) = long.await.unwrap();
    assert!(
        (25 * SECOND..=25 * SECOND + 10 * MS).contains(&after),
        "{after:?}"
    );
    assert_eq!(ended.unwrap_err().code(), tonic::Code::Unavailable);
}
