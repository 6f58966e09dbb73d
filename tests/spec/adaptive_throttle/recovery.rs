//! How long calls are held back once the server is well again: the figures of the module's page.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use http::{Request, Response};
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tower::{Layer as _, Service, service_fn};

use crate::support::{SECOND, ms};

/// Ten calls a second: first `steady` with a server that accepts, then `outage` with one that refuses. How
/// many calls were held back after its end, and how long after it the last one.
async fn after(
    layer: AdaptiveThrottleLayer,
    steady: Duration,
    outage: Duration,
) -> (u32, Duration) {
    let is_up = Arc::new(AtomicBool::new(true));
    let server = {
        let is_up = Arc::clone(&is_up);
        service_fn(move |_: Request<tonic::body::Body>| {
            let code = if is_up.load(Ordering::Relaxed) {
                "0"
            } else {
                "14"
            };
            async move {
                let answer = Response::builder().header("grpc-status", code);
                Ok::<_, Infallible>(answer.body(Body::empty()).unwrap())
            }
        })
    };
    let mut service = layer.layer(server);
    let start = Instant::now();
    let (mut shed_since, mut last_shed) = (0, Duration::ZERO);
    loop {
        let elapsed = start.elapsed();
        is_up.store(
            elapsed < steady || elapsed >= steady + outage,
            Ordering::Relaxed,
        );
        std::future::poll_fn(|cx| service.poll_ready(cx))
            .await
            .unwrap();
        let is_shed = service
            .call(Request::new(tonic::body::Body::empty()))
            .await
            .is_err();
        let since = elapsed.saturating_sub(steady + outage);
        if is_shed && !since.is_zero() {
            shed_since += 1;
            last_shed = since;
        }
        if since > 900 * SECOND {
            return (shed_since, last_shed);
        }
        sleep(ms(100)).await;
    }
}

async fn each(window: Duration, steady: Duration, outage: Duration) -> Vec<(u32, u64)> {
    let mut all = Vec::new();
    for seed in 0..2 {
        let layer = AdaptiveThrottleLayer::new().seed(seed);
        let (shed, last) = after(layer.window(window).unwrap(), steady, outage).await;
        all.push((shed, last.as_secs()));
    }
    all
}

const WINDOW: Duration = Duration::from_secs(120);

#[tokio::test(start_paused = true)]
async fn five_seconds_of_outage_in_steady_traffic_hold_nothing_back() {
    let seen = each(WINDOW, 2 * WINDOW, 5 * SECOND).await;
    assert_eq!(seen, [(0, 0); 2]);
}

#[tokio::test(start_paused = true)]
async fn calls_are_held_back_for_about_two_minutes_after_an_outage_of_ninety_seconds() {
    for (shed, last) in each(WINDOW, 2 * WINDOW, 90 * SECOND).await {
        assert!((500..1_000).contains(&shed), "{shed}");
        assert!((90..180).contains(&last), "{last}");
    }
}

// An outage that filled the window, and one that is all a new client knows.
#[tokio::test(start_paused = true)]
async fn a_throttle_that_saw_no_accept_takes_minutes_to_learn_of_a_recovery() {
    for (steady, outage) in [(2 * WINDOW, 300 * SECOND), (Duration::ZERO, 5 * SECOND)] {
        for (shed, last) in each(WINDOW, steady, outage).await {
            assert!(shed > 500, "{shed}");
            assert!((120..720).contains(&last), "{last}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_of_ten_seconds_recovers_within_a_minute_or_so() {
    for (steady, outage) in [(60 * SECOND, 300 * SECOND), (Duration::ZERO, 5 * SECOND)] {
        for (_, last) in each(10 * SECOND, steady, outage).await {
            assert!((10..90).contains(&last), "{last}");
        }
    }
}
