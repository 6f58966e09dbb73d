//! Who gets a cell, and what becomes of one that nobody comes for.

use std::time::Duration;

use grpc_resilience::rate_limit::{Quota, RateLimitLayer};
use tokio::time::advance;

use crate::common::ms;

use super::door::{Refused, again, new, request, send, told};

/// One cell each 10 ms; five at once.
fn layer() -> RateLimitLayer {
    RateLimitLayer::new(Quota::every(ms(10)).unwrap().burst(5).unwrap())
}

async fn spend(layer: &RateLimitLayer) {
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

#[tokio::test(start_paused = true)]
async fn a_promise_that_nobody_comes_for_lapses_and_its_cell_is_for_whoever_comes() {
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
    assert_eq!(layer.snapshot().lapsed, 3);
    // And those who come in time still find theirs.
    again(&layer).await.unwrap();
    assert_eq!(layer.snapshot().kept, 1);
}

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

#[tokio::test(start_paused = true)]
async fn who_comes_a_little_early_is_told_the_rest_and_keeps_its_cell() {
    let layer = layer();
    spend(&layer).await;
    new(&layer).await.unwrap_err();
    advance(ms(7)).await;
    assert_eq!(told(again(&layer).await), ms(3));
    assert_eq!(layer.snapshot().promised, 1);
    advance(ms(3)).await;
    again(&layer).await.unwrap();
}

/// One that was never promised anything, or does not wait for it.
#[tokio::test(start_paused = true)]
async fn who_comes_again_much_too_early_is_promised_a_cell_like_a_new_caller() {
    let layer = layer();
    spend(&layer).await;
    for _ in 0..10 {
        new(&layer).await.unwrap_err();
    }
    advance(ms(10)).await;
    again(&layer).await.unwrap();
    for _ in 0..9 {
        let early = told(again(&layer).await);
        assert_eq!(early, ms(10), "the next one stands");
    }
    let small = RateLimitLayer::new(Quota::every(ms(10)).unwrap().burst(1).unwrap());
    new(&small).await.unwrap();
    new(&small).await.unwrap_err();
    assert_eq!(told(again(&small).await), ms(20));
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
