//! What holds whoever comes when. The laws of the arithmetic are beside it, in
//! `src/rate_limit/laws.rs`.

use std::time::Duration;

use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::support::ms;

use super::raw_service::{again, new, request, send};

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

fn paused(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test);
}

/// Never more than the burst and what came since, from any request to any later one; in so much
/// more time.
fn assert_law(mut admitted: Vec<Duration>, period: Duration, burst: u32, late: Duration) {
    admitted.sort_unstable();
    for (first, from) in admitted.iter().enumerate() {
        for (more, to) in admitted[first..].iter().enumerate() {
            let time = to.abs_diff(*from) + late;
            let cells = u128::from(burst) + time.as_nanos() / period.as_nanos();
            assert!(u128::try_from(more).unwrap() < cells, "{from:?} to {to:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    // CONTRACT Q1
    #[test]
    fn no_more_is_let_through_than_the_quota_says_whatever_callers_do(
        period in 1_u64..5_000, burst in 1_u32..20, grace in 0_u64..50_000, hints: bool,
        waits: bool, calls in vec((0_u64..6_000, 0_u8..4), 1..300),
    ) {
        paused(async {
            let quota = Quota::every(micros(period)).unwrap().burst(burst).unwrap();
            let layer = ServerRateLimitLayer::new(quota).grace(micros(grace));
            let layer = if hints { layer } else { layer.without_hints() };
            let start = Instant::now();
            let mut running = JoinSet::new();
            let mut comes = start;
            for (pause, kind) in calls {
                comes += micros(pause);
                let layer = layer.clone();
                running.spawn(async move {
                    sleep_until(comes).await;
                    let answer = match kind {
                        0 => new(&layer).await,
                        // Comes again without having been there.
                        1 | 2 if waits => again(&layer).await,
                        _ => send(&layer, request(&[("grpc-timeout", "3m")])).await,
                    };
                    answer.is_ok().then(|| start.elapsed())
                });
            }
            let admitted: Vec<_> = running.join_all().await.into_iter().flatten().collect();
            let snapshot = layer.snapshot();
            assert_eq!(snapshot.admitted, u64::try_from(admitted.len()).unwrap());
            assert!(snapshot.kept + snapshot.lapsed <= snapshot.promised);
            // tokio's timer may wake one that waits for its cell a millisecond late.
            let late = if waits { ms(1) } else { Duration::ZERO };
            assert_law(admitted, micros(period), burst, late);
        });
    }

    // CONTRACT Q2
    #[test]
    fn whoever_comes_when_it_was_told_is_let_through_whatever_new_callers_do(
        period in 100_u64..20_000, burst in 1_u32..20,
        calls in vec((0_u64..3_000, any::<bool>(), 0_u64..50), 1..300),
    ) {
        paused(async {
            let quota = Quota::every(micros(period)).unwrap().burst(burst).unwrap();
            let layer = ServerRateLimitLayer::new(quota);
            let start = Instant::now();
            let mut running = JoinSet::new();
            let mut comes = start;
            for (pause, obeys, late) in calls {
                comes += micros(pause);
                let layer = layer.clone();
                running.spawn(async move {
                    sleep_until(comes).await;
                    let Err(refused) = new(&layer).await else {
                        return;
                    };
                    if !obeys || !refused.is_promise() {
                        return;
                    }
                    let told = Instant::now() + refused.retry_info.unwrap() + ms(late);
                    sleep_until(told).await;
                    let came = Instant::now();
                    let answer = again(&layer).await;
                    assert!(answer.is_ok(), "{late} ms late: {answer:?}");
                    let waited = came.elapsed();
                    assert!(waited <= ms(251), "waited for {waited:?}");
                });
            }
            running.join_all().await;
        });
    }
}
