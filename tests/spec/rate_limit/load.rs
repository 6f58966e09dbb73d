//! A server limited to 500 requests a second, and clients that offer it 1,000.
//!
//! Over tonic alone: it loads the server, and the channel makes no difference.

use std::time::Duration;

use grpc_resilience::rate_limit::{Quota, RateLimitSnapshot, ServerRateLimitLayer};
use grpc_resilience::retry::RetryPolicy;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep_until};
use tonic::Code;

use crate::support::{SECOND, declared, ms, retrying};

use super::raw_service::{new, serve};

const RATE: u32 = 500;
const OFFERED: u32 = 5_000;

fn limited() -> ServerRateLimitLayer {
    ServerRateLimitLayer::new(Quota::per_second(RATE).unwrap())
}

/// What came of the calls.
#[derive(Debug)]
struct Outcome {
    succeeded: u32,
    /// Of the quota from the first call to the last success, the burst included.
    quota_used: f64,
    attempts_per_success: f64,
    took: Duration,
    server: RateLimitSnapshot,
}

/// One call each millisecond for 5 s, by clients of ours.
async fn offer(layer: ServerRateLimitLayer, deadline: Duration) -> Outcome {
    let server = serve(layer.clone());
    let policy = RetryPolicy::until_deadline().retry_on(Code::ResourceExhausted);
    let client = retrying(&server, policy);
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..OFFERED {
        let mut client = client.clone();
        calls.spawn(async move {
            sleep_until(start + ms(number.into())).await;
            let mut request = declared();
            request.set_timeout(deadline);
            let call = client.unary(request).await;
            call.map(|_| start.elapsed())
        });
    }
    let ended = calls.join_all().await;
    let succeeded: Vec<Duration> = ended.into_iter().filter_map(Result::ok).collect();
    let took = succeeded.iter().max().copied().unwrap();
    let succeeded = u32::try_from(succeeded.len()).unwrap();
    let quota = f64::from(RATE) * (1.0 + took.as_secs_f64());
    let server = layer.snapshot();
    let attempts = u32::try_from(server.admitted + server.refused).unwrap();
    Outcome {
        succeeded,
        quota_used: f64::from(succeeded) / quota,
        attempts_per_success: f64::from(attempts) / f64::from(succeeded),
        took,
        server,
    }
}

#[tokio::test(start_paused = true)]
async fn at_twice_the_quota_all_of_it_is_used_and_callers_come_twice_at_most() {
    let hinted = offer(limited(), 30 * SECOND).await;
    let silent = offer(limited().without_hints(), 30 * SECOND).await;
    println!("with hints:    {hinted:?}\nwithout hints: {silent:?}");
    assert_eq!(hinted.succeeded, OFFERED);
    assert!(hinted.quota_used >= 0.99, "{hinted:?}");
    assert!(hinted.attempts_per_success <= 2.0, "{hinted:?}");
    assert!(hinted.took <= 9 * SECOND + ms(10), "{hinted:?}");
    assert_eq!(hinted.server.kept, hinted.server.refused);
    assert_eq!(hinted.server.lapsed, 0);
    assert!(silent.quota_used < hinted.quota_used, "{silent:?}");
    assert!(silent.attempts_per_success > hinted.attempts_per_success);
}

/// What can't be served in time fails at once, and takes nothing.
#[tokio::test(start_paused = true)]
async fn with_short_deadlines_all_of_the_quota_is_used_and_a_call_is_refused_once_at_most() {
    let hinted = offer(limited(), SECOND).await;
    println!("with hints, 1 s: {hinted:?}");
    assert!(hinted.quota_used >= 0.99, "{hinted:?}");
    assert!(hinted.attempts_per_success <= 2.2, "{hinted:?}");
    let refused = u64::from(OFFERED) - u64::from(hinted.succeeded) + hinted.server.kept;
    assert_eq!(hinted.server.refused, refused, "each of them once");
    assert_eq!(hinted.server.lapsed, 0);
}

/// Promises are made and nobody comes for them.
#[tokio::test(start_paused = true)]
async fn callers_that_never_come_back_cost_no_quota() {
    for burst in [RATE, 10, 2, 1] {
        let quota = Quota::per_second(RATE).unwrap().burst(burst).unwrap();
        let layer = ServerRateLimitLayer::new(quota);
        for _ in 0..30_000 {
            let _ = new(&layer).await;
            advance(ms(1)).await;
        }
        let cells = u64::from(RATE) * 30 + u64::from(burst);
        let admitted = layer.snapshot().admitted;
        println!(
            "burst {burst}: {admitted} of {cells}, {:?}",
            layer.snapshot()
        );
        assert!(admitted <= cells);
        assert!(admitted * 100 >= cells * 99, "burst {burst}: {admitted}");
    }
}
