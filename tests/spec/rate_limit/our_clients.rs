//! Our client under a limited server: it comes back once, on time.

use std::time::Duration;

use grpc_resilience::__internal::Pushback;
use grpc_resilience::GiveUp;
use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};
use grpc_resilience::retry::RetryPolicy;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Code;

use crate::support::{declared, ms, previous_attempts, retrying, undeclared, waits};

use super::raw_service::{request, send, serve};

fn one_each(millis: u64) -> ServerRateLimitLayer {
    ServerRateLimitLayer::new(Quota::every(ms(millis)).unwrap().burst(4).unwrap())
}

fn policy() -> RetryPolicy {
    RetryPolicy::new().retry_on(Code::ResourceExhausted)
}

// CONTRACT P2, P5, R10
#[transports::test(start_paused = true)]
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
#[transports::test(start_paused = true)]
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
#[transports::test(start_paused = true)]
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
// Over tonic alone: ours believes the server without a setting (I7).
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

/// What came of callers at once, of which some fail in their handler and come again for that.
#[derive(Debug, Default)]
struct Crowd {
    /// How often one that was promised a cell was refused when it came.
    broken: usize,
    /// Calls that were out of attempts, and were refused more than once.
    refused_out: usize,
    took: Duration,
}

/// So many callers; of 100 requests that are handled so many fail, and their calls come again.
async fn crowd(burst: u32, callers: u32, failing: u32) -> (Crowd, ServerRateLimitLayer) {
    let quota = Quota::per_second(100).unwrap().burst(burst).unwrap();
    let layer = ServerRateLimitLayer::new(quota);
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for caller in 0..callers {
        let layer = layer.clone();
        calls.spawn(async move {
            let (mut broken, mut refusals, mut is_promised) = (0, 0, false);
            for attempt in 0..4_u32 {
                let text = attempt.to_string();
                let again = [("grpc-previous-rpc-attempts", &*text)];
                let headers = if attempt == 0 { &[][..] } else { &again };
                let wait = match send(&layer, request(headers)).await {
                    Ok(()) => {
                        let dice = (caller * 7_919 + attempt * 104_729 + 17) % 100;
                        if dice >= failing {
                            return (broken, 0);
                        }
                        is_promised = false;
                        ms(100 + u64::from(dice * 3))
                    }
                    Err(refused) => {
                        broken += usize::from(is_promised);
                        refusals += 1;
                        is_promised = refused.is_promise();
                        let Some(Pushback::After(wait)) = refused.pushback else {
                            panic!("{refused:?}");
                        };
                        wait
                    }
                };
                tokio::time::sleep(wait).await;
            }
            (broken, usize::from(refusals > 1))
        });
    }
    let mut crowd = Crowd::default();
    for (broken, refused_out) in calls.join_all().await {
        crowd.broken += broken;
        crowd.refused_out += refused_out;
    }
    crowd.took = start.elapsed();
    (crowd, layer)
}

// CONTRACT Q2: those that come again for another reason take the promises of others, who wait
#[tokio::test(start_paused = true)]
async fn calls_that_come_again_after_other_failures_have_no_promised_caller_refused() {
    for burst in [1, 10] {
        for failing in [0, 2, 5, 10, 20] {
            let (crowd, layer) = crowd(burst, 200, failing).await;
            assert_eq!(
                (crowd.broken, crowd.refused_out),
                (0, 0),
                "{burst} {failing}"
            );
            let admitted = layer.snapshot().admitted;
            let cells = ms(10 * (admitted - u64::from(burst)));
            assert!(crowd.took <= cells + ms(100), "{crowd:?} {admitted}");
        }
    }
}
