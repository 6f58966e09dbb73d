//! Who gets a cell, and what becomes of one that nobody comes for.

use std::time::Duration;

use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep_until};

use crate::support::ms;

use super::raw_service::{Refused, again, new, request, send, told};

/// One cell each 10 ms; five at once.
fn layer() -> ServerRateLimitLayer {
    ServerRateLimitLayer::new(Quota::every(ms(10)).unwrap().burst(5).unwrap())
}

/// One cell each 10 ms, and no more.
fn one_cell() -> ServerRateLimitLayer {
    ServerRateLimitLayer::new(Quota::every(ms(10)).unwrap())
}

/// How many were promised a cell, and came.
fn layer_counts(layer: &ServerRateLimitLayer) -> (u64, u64) {
    let snapshot = layer.snapshot();
    (snapshot.promised, snapshot.kept)
}

async fn spend(layer: &ServerRateLimitLayer) {
    for _ in 0..5 {
        new(layer).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_caller_does_not_overtake_one_that_was_promised_a_cell() {
    let layer = layer();
    spend(&layer).await;
    assert_eq!(told(new(&layer).await), ms(10));
    assert_eq!(told(new(&layer).await), ms(20));
    advance(ms(10)).await;
    // A cell is there; and it is spoken for.
    assert_eq!(told(new(&layer).await), ms(20));
    again(&layer).await.unwrap();
    advance(ms(10)).await;
    assert_eq!(told(new(&layer).await), ms(20));
    again(&layer).await.unwrap();
    let snapshot = layer.snapshot();
    assert_eq!(
        (snapshot.promised, snapshot.kept, snapshot.lapsed),
        (4, 2, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn callers_that_come_late_get_their_cells_and_delay_nobody() {
    let layer = layer();
    spend(&layer).await;
    for number in 1..=4 {
        assert_eq!(told(new(&layer).await), ms(10 * number));
    }
    // 15 ms late, 5 ms late, and on time.
    advance(ms(25)).await;
    again(&layer).await.unwrap();
    again(&layer).await.unwrap();
    advance(ms(5)).await;
    again(&layer).await.unwrap();
    advance(ms(10)).await;
    again(&layer).await.unwrap();
    assert_eq!(layer.snapshot().kept, 4);
    assert_eq!(told(new(&layer).await), ms(10));
}

// CONTRACT Q3
#[tokio::test(start_paused = true)]
async fn the_cell_of_a_promise_that_nobody_comes_for_is_for_whoever_comes() {
    let layer = layer();
    spend(&layer).await;
    for _ in 0..20 {
        new(&layer).await.unwrap_err();
    }
    // Half of the time for which the bucket holds a cell.
    advance(ms(30)).await;
    assert!(new(&layer).await.is_err());
    advance(Duration::from_nanos(1)).await;
    new(&layer).await.unwrap();
    assert!(new(&layer).await.is_err());
    advance(ms(20)).await;
    new(&layer).await.unwrap();
    new(&layer).await.unwrap();
    assert!(new(&layer).await.is_err());
    // And those who come all the same find the next.
    assert_eq!(layer.snapshot().lapsed, 0);
    again(&layer).await.unwrap();
    assert_eq!(layer.snapshot().kept, 1);
    advance(ms(250)).await;
    assert!(layer.snapshot().lapsed > 0);
}

// CONTRACT Q3
#[tokio::test(start_paused = true)]
async fn the_grace_can_be_set() {
    let layer = layer().grace(ms(2));
    spend(&layer).await;
    new(&layer).await.unwrap_err();
    advance(ms(12)).await;
    assert!(new(&layer).await.is_err());
    advance(ms(1)).await;
    new(&layer).await.unwrap();
    assert_eq!(layer.snapshot().lapsed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_counts_promises_that_lapsed_since_anybody_asked() {
    let layer = layer();
    spend(&layer).await;
    for _ in 0..3 {
        new(&layer).await.unwrap_err();
    }
    advance(ms(1_000)).await;
    let snapshot = layer.clone().snapshot();
    assert_eq!((snapshot.admitted, snapshot.refused), (5, 3));
    assert_eq!(
        (snapshot.promised, snapshot.kept, snapshot.lapsed),
        (3, 0, 3)
    );
}

// CONTRACT Q2
#[tokio::test(start_paused = true)]
async fn who_comes_a_little_early_waits_for_its_cell() {
    let layer = layer();
    spend(&layer).await;
    new(&layer).await.unwrap_err();
    advance(ms(7)).await;
    let came = Instant::now();
    again(&layer).await.unwrap();
    assert_eq!(came.elapsed(), ms(3));
    let snapshot = layer.snapshot();
    assert_eq!((snapshot.promised, snapshot.kept), (1, 1));
}

// CONTRACT Q2
#[tokio::test(start_paused = true)]
async fn in_a_bucket_of_one_cell_those_behind_a_late_caller_wait_and_none_is_refused() {
    let layer = one_cell();
    new(&layer).await.unwrap();
    for number in 1..=50 {
        assert_eq!(told(new(&layer).await), ms(10 * number));
    }
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for number in 1..=50 {
        // One in ten is late, by up to 45 ms.
        let late = if number % 10 == 3 { number - 3 } else { 0 };
        let layer = layer.clone();
        callers.spawn(async move {
            sleep_until(start + ms(10 * number + late)).await;
            let came = Instant::now();
            again(&layer).await.unwrap();
            came.elapsed()
        });
    }
    let waited = callers.join_all().await;
    assert!(waited.iter().all(|wait| *wait <= ms(40)), "{waited:?}");
    assert!(start.elapsed() <= ms(540), "{:?}", start.elapsed());
    let snapshot = layer.snapshot();
    assert_eq!((snapshot.kept, snapshot.lapsed), (50, 0));
}

// CONTRACT Q2
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_cell_past_its_deadline() {
    let layer = one_cell();
    new(&layer).await.unwrap();
    assert_eq!(told(new(&layer).await), ms(10));
    advance(ms(4)).await;
    let hasty = |timeout| {
        [
            ("grpc-previous-rpc-attempts", "1"),
            ("grpc-timeout", timeout),
        ]
    };
    let refused = send(&layer, request(&hasty("6m"))).await;
    assert_eq!(told(refused), ms(6));
    send(&layer, request(&hasty("7m"))).await.unwrap();
}

// CONTRACT Q4
#[tokio::test(start_paused = true)]
async fn when_callers_do_not_come_a_new_one_is_told_of_a_time_ahead_of_the_line() {
    let layer = one_cell();
    new(&layer).await.unwrap();
    for number in 1..=1_000 {
        assert_eq!(told(new(&layer).await), ms(10 * number));
    }
    advance(ms(95)).await;
    new(&layer).await.unwrap();
    // The turns of nine have passed, and one was used.
    assert_eq!(told(new(&layer).await), ms(10));
    advance(ms(10)).await;
    again(&layer).await.unwrap();
    // But not so many that the line could not be kept.
    let mut soon = 0;
    while told(new(&layer).await) < ms(1_000) {
        soon += 1;
    }
    assert!((1..20).contains(&soon), "{soon}");
}

/// A caller that waits and goes away leaves its cell unused, and nobody behind it hangs.
#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_while_it_waits_holds_up_nobody() {
    let layer = one_cell();
    new(&layer).await.unwrap();
    for _ in 0..2 {
        new(&layer).await.unwrap_err();
    }
    let gone = layer.clone();
    let gone = tokio::spawn(async move { again(&gone).await });
    advance(ms(1)).await;
    gone.abort();
    let came = Instant::now();
    again(&layer).await.unwrap();
    assert!(came.elapsed() <= ms(20));
}

/// One that was never promised anything, or does not wait for it.
#[tokio::test(start_paused = true)]
async fn who_comes_again_much_too_early_is_promised_a_cell_like_a_new_caller() {
    let slow = ServerRateLimitLayer::new(Quota::every(ms(1_000)).unwrap());
    new(&slow).await.unwrap();
    assert_eq!(told(new(&slow).await), ms(1_000));
    advance(ms(749)).await;
    assert_eq!(told(again(&slow).await), ms(1_251));
    assert_eq!(layer_counts(&slow), (2, 0));
    advance(ms(1)).await;
    again(&slow).await.unwrap();
    assert_eq!(layer_counts(&slow), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_header_is_no_retry_and_no_deadline_and_harms_nobody() {
    let layer = layer();
    spend(&layer).await;
    new(&layer).await.unwrap_err();
    advance(ms(10)).await;
    for previous in ["", "0", "-1", "+1", "x", "99999999999"] {
        let headers = [("grpc-previous-rpc-attempts", previous)];
        assert!(
            send(&layer, request(&headers)).await.is_err(),
            "{previous:?}"
        );
    }
    let before = layer.snapshot().promised;
    for timeout in ["", "5", "S", "-5S", "123456789n"] {
        let refused: Refused = send(&layer, request(&[("grpc-timeout", timeout)]))
            .await
            .unwrap_err();
        assert!(
            !refused.is_promise() && refused.retry_info.is_some(),
            "{timeout:?}"
        );
    }
    assert_eq!(layer.snapshot().promised, before);
    // One that passes is none of the layer's business.
    again(&layer).await.unwrap();
    advance(ms(10_000)).await;
    send(&layer, request(&[("grpc-timeout", "nonsense")]))
        .await
        .unwrap();
}
