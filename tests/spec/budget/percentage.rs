//! The budget that is a percentage of the calls, by itself. CONTRACT T9, T10.

mod laws;
mod reference;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use grpc_resilience::budget::{InvalidBudget, PercentageBudget};
use grpc_resilience::call::{AttemptKind, Budget, Permit};
use tokio::time::advance;

use crate::support::{SECOND, ms};

const RETRY: AttemptKind = AttemptKind::Retry;
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn without_floor(percent: f64) -> PercentageBudget {
    PercentageBudget::new(percent).unwrap().floor(0)
}

/// Asks for an attempt, which starts.
fn goes(budget: &impl Budget) -> bool {
    budget.permit(RETRY).map(Permit::start).is_some()
}

fn granted(budget: &impl Budget, asked: u32) -> u32 {
    (0..asked).map(|_| u32::from(goes(budget))).sum()
}

// CONTRACT T10; PEER-CASES TW-857
#[tokio::test(start_paused = true)]
async fn every_ratio_acts_as_what_it_says() {
    for ratio in (10..=100_u32).step_by(5) {
        let budget = without_floor(f64::from(ratio));
        let mut extra = 0;
        for _ in 0..10_000 {
            budget.call_started();
            // The call fails and is retried for as long as it may be.
            while goes(&budget) {
                extra += 1;
            }
        }
        assert_eq!(extra, 100 * ratio, "{ratio} %");
    }
}

// CONTRACT T10: for every p, decimals and more than one attempt a call among them
#[tokio::test(start_paused = true)]
async fn steady_calls_get_what_they_paid_for_to_the_attempt() {
    for (percent, calls, extra) in [
        (0.0, 1_000, 0),
        (0.001, 100_000, 1),
        (0.029, 100_000, 29),
        (0.6, 10_000, 60),
        (33.333, 6_000, 1_999),
        (99.999, 5_000, 4_999),
        (250.0, 999, 2_497),
        (1_000.0, 999, 9_990),
    ] {
        let budget = without_floor(percent);
        let mut granted = 0;
        for _ in 0..calls {
            budget.call_started();
            while goes(&budget) {
                granted += 1;
            }
        }
        assert_eq!(granted, extra, "{percent} %");
    }
}

// CONTRACT T10
#[tokio::test(start_paused = true)]
async fn from_cold_there_is_the_floor_and_no_burst() {
    let budget = PercentageBudget::default();
    assert_eq!(granted(&budget, 100), 1);
    advance(ms(99)).await;
    assert_eq!(granted(&budget, 100), 0);
    advance(ms(1)).await;
    assert_eq!(granted(&budget, 100), 1);
    advance(30 * DAY).await;
    assert_eq!(granted(&budget, 100), 1, "nothing is saved up");
    let none = without_floor(20.0);
    assert_eq!(granted(&none, 100), 0);
}

// CONTRACT T10: so does not a percentage of nothing
#[tokio::test(start_paused = true)]
async fn the_floor_lets_a_caller_of_few_calls_retry() {
    let budget = PercentageBudget::new(0.0).unwrap();
    for _ in 0..30 {
        budget.call_started();
        assert!(goes(&budget));
        advance(SECOND).await;
    }
    let by_thirds = PercentageBudget::new(0.0).unwrap().floor(3);
    let mut extra = 0;
    for _ in 0..60_000 {
        extra += granted(&by_thirds, 2);
        advance(ms(1)).await;
    }
    assert_eq!(extra, 180, "three a second for a minute");
}

// CONTRACT T10
#[tokio::test(start_paused = true)]
async fn calls_count_for_the_window_and_no_longer() {
    let budget = without_floor(100.0).window(20 * SECOND).unwrap();
    for _ in 0..3 {
        budget.call_started();
    }
    advance(19 * SECOND).await;
    assert!(goes(&budget));
    advance(SECOND).await;
    assert!(!goes(&budget));
    budget.call_started();
    advance(30 * DAY).await;
    assert!(!goes(&budget));
    budget.call_started();
    assert_eq!(granted(&budget, 5), 1);
}

/// A thousand calls over a window, all of which are retried for as long as they may be, or none.
async fn window_of_calls(budget: &PercentageBudget, fail: bool) -> u32 {
    let mut extra = 0;
    for _ in 0..1_000 {
        budget.call_started();
        while fail && goes(budget) {
            extra += 1;
        }
        advance(ms(10)).await;
    }
    extra
}

// CONTRACT T10: the calls of a span, and of the window before it
#[tokio::test(start_paused = true)]
async fn an_outage_gets_what_the_window_before_it_left_once_and_then_its_own_percentage() {
    let budget = without_floor(20.0);
    assert_eq!(window_of_calls(&budget, false).await, 0);
    let first = window_of_calls(&budget, true).await;
    assert!((380..=400).contains(&first), "{first}");
    for _ in 0..3 {
        assert_eq!(window_of_calls(&budget, true).await, 200);
    }
}

// CONTRACT T9
#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_unstarted_gives_back_what_it_took() {
    let budget = without_floor(100.0);
    budget.call_started();
    let permit = budget.permit(RETRY).unwrap();
    assert!(budget.permit(RETRY).is_none());
    drop(permit);
    assert_eq!(granted(&budget, 5), 1);

    // Of the floor: the next one need not wait.
    let floor = PercentageBudget::new(0.0).unwrap().floor(1);
    let permit = floor.permit(RETRY).unwrap();
    assert!(floor.permit(RETRY).is_none());
    advance(ms(500)).await;
    drop(permit);
    assert!(goes(&floor));
    advance(ms(999)).await;
    assert!(!goes(&floor), "a second after the one that went");
    advance(ms(1)).await;

    // Returned late, it is no second one.
    let late = floor.permit(RETRY).unwrap();
    advance(SECOND).await;
    assert!(goes(&floor));
    drop(late);
    assert!(!goes(&floor));
}

// CONTRACT T9: what is given back is as old as it was
#[tokio::test(start_paused = true)]
async fn what_is_given_back_after_the_window_is_lost() {
    let budget = without_floor(100.0);
    budget.call_started();
    let permit = budget.permit(RETRY).unwrap();
    advance(11 * SECOND).await;
    drop(permit);
    assert!(!goes(&budget));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_tells_what_calls_still_pay_for_and_what_became_of_it_by_kind() {
    let budget = without_floor(50.0);
    for _ in 0..5 {
        budget.call_started();
    }
    assert_eq!(budget.snapshot().tokens(), Some(2.5));
    let hedge = AttemptKind::Hedge;
    budget.permit(hedge).unwrap().start();
    drop(budget.permit(RETRY));
    assert!(goes(&budget));
    assert!(budget.permit(hedge).is_none() && budget.permit(RETRY).is_none());
    assert!(budget.permit(RETRY).is_none());
    let snapshot = budget.snapshot();
    assert_eq!(snapshot.tokens(), Some(0.5));
    assert_eq!((snapshot.spent(RETRY), snapshot.denied(RETRY)), (1, 2));
    assert_eq!((snapshot.spent(hedge), snapshot.denied(hedge)), (1, 1));
    advance(30 * DAY).await;
    assert_eq!(budget.snapshot().tokens(), Some(0.0));
}

// Bad configuration
#[test]
fn a_percentage_that_can_not_be_is_refused_at_construction() {
    for percent in [-0.1, 0.000_9, 1_000.000_1, f64::NAN, f64::INFINITY] {
        let refused = PercentageBudget::new(percent).unwrap_err();
        assert!(matches!(refused, InvalidBudget::Percent(_)), "{percent}");
    }
    for percent in [0.0, -0.0, 0.001, 1_000.0] {
        assert!(PercentageBudget::new(percent).is_ok(), "{percent}");
    }
    let window = |window| PercentageBudget::default().window(window);
    let short = Duration::from_micros(999);
    assert_eq!(window(short).unwrap_err(), InvalidBudget::Window(short));
    assert!(window(ms(1)).is_ok() && window(Duration::MAX).is_ok());
}

// CONTRACT T9: exact, however many ask at once
#[test]
fn threads_that_ask_at_once_get_what_was_paid_for_and_no_more() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 2_000;
    let hour = 3_600 * SECOND;
    for _ in 0..10 {
        let budget = Arc::new(without_floor(10.0).window(hour).unwrap());
        let threads = (0..THREADS).map(|number| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || {
                let mut granted = 0;
                for call in 0..CALLS {
                    budget.call_started();
                    match budget.permit(RETRY) {
                        // One in three never starts.
                        Some(permit) if (number + call) % 3 == 0 => drop(permit),
                        Some(permit) => {
                            permit.start();
                            granted += 1;
                        }
                        None => {}
                    }
                }
                granted
            })
        });
        let threads: Vec<_> = threads.collect();
        let started: u64 = threads.into_iter().map(|each| each.join().unwrap()).sum();
        assert_eq!(budget.snapshot().spent(RETRY), started);
        let left = u64::from(granted(&*budget, 10_000));
        assert_eq!(started + left, THREADS * CALLS / 10);
    }
}
