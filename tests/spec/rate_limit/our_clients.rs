//! Our client under a limited server: it comes back once, on time.

use grpc_resilience::GiveUp;
use grpc_resilience::rate_limit::{Quota, RateLimitLayer};
use grpc_resilience::retry::RetryPolicy;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Code;

use crate::support::{declared, ms, previous_attempts, retrying, undeclared, waits};

use super::raw_service::serve;

fn one_each(millis: u64) -> RateLimitLayer {
    RateLimitLayer::new(Quota::every(ms(millis)).unwrap().burst(4).unwrap())
}

fn policy() -> RetryPolicy {
    RetryPolicy::new().retry_on(Code::ResourceExhausted)
}

// CONTRACT P2, P5, R10
#[tokio::test(start_paused = true)]
async fn a_refused_call_comes_back_exactly_once_on_time_and_succeeds() {
    let layer = one_each(50);
    let server = serve(layer.clone());
    let mut client = retrying(&server, policy());
    for _ in 0..4 {
        client.unary(declared()).await.unwrap();
    }
    server.clear();
    client.unary(declared()).await.unwrap();
    let calls = server.calls();
    assert_eq!(previous_attempts(&calls), [None, Some("1")]);
    assert_eq!(waits(&calls), [50]);
    let snapshot = layer.snapshot();
    assert_eq!((snapshot.admitted, snapshot.refused), (5, 1));
    assert_eq!(
        (snapshot.promised, snapshot.kept, snapshot.lapsed),
        (1, 1, 0)
    );
}

// CONTRACT P2
#[tokio::test(start_paused = true)]
async fn a_hundred_at_once_come_back_once_each_one_cell_apart() {
    let layer = one_each(10);
    let server = serve(layer.clone());
    let client = retrying(&server, policy());
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..104 {
        let mut client = client.clone();
        calls.spawn(async move { client.unary(declared()).await });
    }
    for call in calls.join_all().await {
        call.unwrap();
    }
    // tokio's timer knows whole milliseconds and may add one.
    let took = start.elapsed();
    assert!((ms(1_000)..=ms(1_003)).contains(&took), "{took:?}");
    let snapshot = layer.snapshot();
    assert_eq!((snapshot.admitted, snapshot.refused), (104, 100));
    assert_eq!(
        (snapshot.promised, snapshot.kept, snapshot.lapsed),
        (100, 100, 0)
    );
    let again = server.calls();
    let again = again.iter().filter(|call| call.previous_attempts.is_some());
    let late = again.enumerate().map(|(index, call)| {
        let free = ms(10 * (u64::try_from(index).unwrap() + 1));
        (call.at - start).checked_sub(free)
    });
    assert!(
        late.clone()
            .all(|late| late.is_some_and(|late| late <= ms(3)))
    );
}

// CONTRACT P10
#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_is_nearer_than_its_cell_gives_up_at_once_and_takes_none() {
    let layer = one_each(50);
    let server = serve(layer.clone());
    let mut client = retrying(&server, policy());
    for _ in 0..4 {
        client.unary(declared()).await.unwrap();
    }
    let start = Instant::now();
    let mut hasty = declared();
    hasty.set_timeout(ms(50));
    let status = client.unary(hasty).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::HintPastDeadline));
    assert_eq!(start.elapsed(), ms(0));
    assert_eq!(layer.snapshot().promised, 0);
    client.unary(declared()).await.unwrap();
    assert!((ms(50)..=ms(52)).contains(&start.elapsed()));
}

// CONTRACT I2, I3
#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_declared_hears_when_it_could_come_and_does_not() {
    let layer = one_each(50);
    let server = serve(layer.clone());
    let mut client = retrying(&server, policy());
    for _ in 0..4 {
        client.unary(undeclared()).await.unwrap();
    }
    let status = client.unary(undeclared()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
    assert_eq!(layer.snapshot().refused, 1);
}
