//! A flood that leaves a line of promises which nobody keeps, and the honest callers after it.
//! CONTRACT Q4.
//!
//! Over tonic alone: it loads the server, and the channel makes no difference.

use std::time::Duration;

use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep_until};

use crate::support::{SECOND, ms};

use super::raw_service::{again, new};

const TIME: Duration = Duration::from_secs(10);

/// When honest callers come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comes {
    /// At random moments, as far apart as half and one and a half times the mean.
    AtRandom,
    /// Evenly.
    Evenly,
    /// Evenly, each together with a time that was promised in the flood.
    InPhase,
}

/// Calls for 3 s that never come again: so many that a minute's cells are promised in the first.
async fn flood(layer: &ServerRateLimitLayer, period: Duration) {
    let line = 60_000 / period.as_millis();
    for millis in 0..3_000 {
        let calls = if millis < 1_000 { line / 900 + 1 } else { 2 };
        for _ in 0..calls {
            let _ = new(layer).await;
        }
        advance(ms(1)).await;
    }
}

/// The moments of 10 s at which so many percent of a quota come.
fn moments(comes: Comes, period: Duration, percent: u32, seed: u64) -> Vec<Duration> {
    let mut random = StdRng::seed_from_u64(seed);
    let mean = period * 100 / percent;
    let mut moment = Duration::ZERO;
    let moments = (0..).map(|number: u32| match comes {
        Comes::AtRandom => {
            moment += mean.mul_f64(0.5 + random.random::<f64>());
            moment
        }
        Comes::Evenly => mean * number,
        // The cells of the line are a period apart.
        Comes::InPhase => period * (number * 100 / percent),
    });
    moments.take_while(|moment| *moment < TIME).collect()
}

/// The share in percent that is admitted within 10 s of those who come as they are told.
async fn admitted(layer: &ServerRateLimitLayer, moments: &[Duration]) -> f64 {
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for &moment in moments {
        let layer = layer.clone();
        calls.spawn(async move {
            sleep_until(start + moment).await;
            let came = Instant::now();
            let mut answer = new(&layer).await;
            while let Err(refused) = answer {
                let told = Instant::now() + refused.retry_info.unwrap();
                if told > came + TIME {
                    return false;
                }
                sleep_until(told).await;
                answer = again(&layer).await;
            }
            came.elapsed() <= TIME
        });
    }
    percent(calls.join_all().await)
}

/// The share in percent of those admitted who come once.
async fn admitted_at_once(layer: &ServerRateLimitLayer, moments: &[Duration]) -> f64 {
    let start = Instant::now();
    let mut admitted = Vec::new();
    for &moment in moments {
        advance(start + moment - Instant::now()).await;
        admitted.push(new(layer).await.is_ok());
    }
    percent(admitted)
}

fn percent(admitted: Vec<bool>) -> f64 {
    let all = u32::try_from(admitted.len()).unwrap();
    let admitted = u32::try_from(admitted.into_iter().filter(|it| *it).count()).unwrap();
    100.0 * f64::from(admitted) / f64::from(all)
}

/// Each pair of a period and a burst, in honest callers that come in each way.
async fn each(quotas: &[(u64, u32)], comes: &[Comes], once: bool) {
    for &(period, burst) in quotas {
        for &comes in comes {
            for percent in [25, 50, 80] {
                let period = ms(period);
                let quota = Quota::every(period).unwrap().burst(burst).unwrap();
                let layer = ServerRateLimitLayer::new(quota);
                flood(&layer, period).await;
                let moments = moments(comes, period, percent, percent.into());
                let admitted = if once {
                    admitted_at_once(&layer, &moments).await
                } else {
                    admitted(&layer, &moments).await
                };
                let name = format!("{period:?}, burst {burst}, {percent} %, {comes:?}");
                println!("{name}: {admitted:.1} % admitted");
                assert!(admitted >= 95.0, "{name}: {admitted:.1} %");
            }
        }
    }
}

// CONTRACT Q4
#[tokio::test(start_paused = true)]
async fn after_a_flood_honest_callers_who_come_again_as_told_are_admitted() {
    let comes = [Comes::AtRandom, Comes::InPhase];
    each(&[(2, 1), (10, 1), (10, 2), (10, 10)], &comes, false).await;
}

// CONTRACT Q4
#[tokio::test(start_paused = true)]
async fn after_a_flood_honest_callers_who_come_once_are_admitted() {
    // At random moments some come sooner than the next cell, flood or not.
    let quotas = [(2, 1), (10, 1), (100, 1)];
    each(&quotas, &[Comes::Evenly, Comes::InPhase], true).await;
    each(&[(10, 2), (10, 10)], &[Comes::AtRandom], true).await;
}

/// What is left of a line of 30,000 promises does not grow with it.
#[tokio::test(start_paused = true)]
async fn a_flood_leaves_no_more_promises_than_a_minute_has_cells() {
    let layer = ServerRateLimitLayer::new(Quota::every(ms(2)).unwrap());
    flood(&layer, ms(2)).await;
    let before = layer.snapshot();
    assert!(before.promised - before.lapsed <= 31_000, "{before:?}");
    advance(61 * SECOND).await;
    let after = layer.snapshot();
    assert_eq!(after.lapsed, after.promised);
    for _ in 0..1_000 {
        new(&layer).await.unwrap();
        advance(ms(2)).await;
    }
}
