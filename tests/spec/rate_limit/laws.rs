//! What holds whoever comes when.

use std::collections::BTreeMap;
use std::time::Duration;

use grpc_resilience::rate_limit::{Quota, RateLimitLayer};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::door::{again, new, request, send};

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

fn paused(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test);
}

/// Never more than the burst and what came since, from any request to any later one.
fn assert_law(admitted: &[Duration], period: Duration, burst: u32) {
    for (first, from) in admitted.iter().enumerate() {
        for (more, to) in admitted[first..].iter().enumerate() {
            let cells = u128::from(burst) + to.abs_diff(*from).as_nanos() / period.as_nanos();
            assert!(u128::try_from(more).unwrap() < cells, "{from:?} to {to:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_more_is_let_through_than_the_quota_says_whatever_callers_do(
        period in 1_u64..5_000, burst in 1_u32..20, grace in 0_u64..50_000, hints: bool,
        calls in vec((0_u64..6_000, 0_u8..4), 1..300),
    ) {
        paused(async {
            let quota = Quota::every(micros(period)).unwrap().burst(burst).unwrap();
            let layer = RateLimitLayer::new(quota).grace(micros(grace));
            let layer = if hints { layer } else { layer.without_hints() };
            let start = Instant::now();
            let mut admitted = Vec::new();
            for (pause, kind) in calls {
                advance(micros(pause)).await;
                let answer = match kind {
                    0 => new(&layer).await,
                    // Comes again without having been there.
                    1 | 2 => again(&layer).await,
                    _ => send(&layer, request(&[("grpc-timeout", "3m")])).await,
                };
                if answer.is_ok() {
                    admitted.push(start.elapsed());
                }
            }
            assert_law(&admitted, micros(period), burst);
            let snapshot = layer.snapshot();
            assert_eq!(snapshot.admitted, u64::try_from(admitted.len()).unwrap());
            assert!(snapshot.kept + snapshot.lapsed <= snapshot.promised);
        });
    }

    #[test]
    fn whoever_comes_when_it_was_told_is_let_through_whatever_new_callers_do(
        period in 100_u64..5_000, burst in 2_u32..20,
        calls in vec((0_u64..3_000, any::<bool>(), 0_u64..100), 1..300),
    ) {
        paused(async {
            let quota = Quota::every(micros(period)).unwrap().burst(burst).unwrap();
            let layer = RateLimitLayer::new(quota);
            // So late that no promise has lapsed.
            let grace = micros(period * u64::from(burst - 1) / 2).min(Duration::from_millis(250));
            let start = Instant::now();
            let mut returns: BTreeMap<(Duration, usize), Duration> = BTreeMap::new();
            let mut comes = Duration::ZERO;
            let mut admitted = Vec::new();
            for (number, (pause, obeys, late)) in calls.into_iter().enumerate() {
                comes += micros(pause);
                while let Some(entry) = returns.first_entry().filter(|it| it.key().0 <= comes) {
                    let ((at, _), free) = entry.remove_entry();
                    advance(start + at - Instant::now()).await;
                    let answer = again(&layer).await;
                    assert!(answer.is_ok(), "at {at:?}, told {free:?}: {answer:?}");
                    admitted.push(at);
                }
                advance(start + comes - Instant::now()).await;
                match new(&layer).await {
                    Ok(()) => admitted.push(comes),
                    Err(refused) => {
                        let free = comes + refused.retry_info.unwrap();
                        if obeys && refused.is_promise() {
                            let at = free + grace * u32::try_from(late).unwrap() / 100;
                            returns.insert((at, number), free);
                        }
                    }
                }
            }
            assert_law(&admitted, micros(period), burst);
        });
    }
}
