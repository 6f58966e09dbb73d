//! What a refused caller hears. CONTRACT P1, P7, P10.

use std::time::Duration;

use grpc_resilience::__internal::Pushback;
use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};
use test_protos::EchoRequest;
use tokio::time::advance;
use tonic::Code;

use crate::support::{client, ms};

use super::raw_service::{new, request, send, serve, told};

fn nanos(count: u64) -> Duration {
    Duration::from_nanos(count)
}

fn three_a_second(burst: u32) -> ServerRateLimitLayer {
    ServerRateLimitLayer::new(Quota::per_second(3).unwrap().burst(burst).unwrap())
}

const THIRD: u64 = 333_333_334;

// CONTRACT P1, P7
#[tokio::test(start_paused = true)]
async fn retry_info_is_the_time_of_the_cell_to_the_nanosecond_and_the_pushback_rounds_it_up() {
    let layer = three_a_second(2);
    new(&layer).await.unwrap();
    advance(nanos(1)).await;
    new(&layer).await.unwrap();
    advance(nanos(1_234)).await;
    let refused = new(&layer).await.unwrap_err();
    // Both cells were there at the start; the first one taken is back a period after that.
    assert_eq!(refused.retry_info, Some(nanos(THIRD - 1_235)));
    assert_eq!(refused.pushback, Some(Pushback::After(ms(334))));
}

#[tokio::test(start_paused = true)]
async fn each_refused_caller_hears_of_a_cell_of_its_own() {
    let layer = three_a_second(1);
    new(&layer).await.unwrap();
    for number in 1..=100 {
        let refused = new(&layer).await;
        assert!(refused.as_ref().unwrap_err().is_promise());
        assert_eq!(told(refused), nanos(THIRD * number));
    }
    assert_eq!(layer.snapshot().promised, 100);
}

// CONTRACT P10
#[tokio::test(start_paused = true)]
async fn nothing_is_promised_past_the_caller_s_deadline_and_what_is_said_is_still_true() {
    let layer = three_a_second(1);
    new(&layer).await.unwrap();
    // 333.3 ms are 334 ms as a pushback; a client gives up that has no more than these.
    for timeout in ["0m", "333m", "334m", "333333334n"] {
        let refused = send(&layer, request(&[("grpc-timeout", timeout)])).await;
        assert!(!refused.as_ref().unwrap_err().is_promise(), "{timeout}");
        assert_eq!(told(refused), nanos(THIRD));
    }
    let refused = send(&layer, request(&[("grpc-timeout", "335m")])).await;
    assert!(refused.unwrap_err().is_promise());
    assert_eq!(layer.snapshot().promised, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_promised_past_the_longest_promise() {
    for (headers, longest, promised) in [
        (&[][..], ms(334), 0),
        (&[], ms(335), 1),
        (&[], ms(668), 2),
        (&[("grpc-timeout", "1H")], ms(335), 1),
    ] {
        let layer = three_a_second(1).longest_promise(longest);
        new(&layer).await.unwrap();
        for _ in 0..5 {
            send(&layer, request(headers)).await.unwrap_err();
        }
        assert_eq!(layer.snapshot().promised, promised, "{longest:?}");
    }
}

// By default a minute.
#[tokio::test(start_paused = true)]
async fn a_minute_is_promised_by_default() {
    let layer = ServerRateLimitLayer::new(Quota::every(ms(20_000)).unwrap());
    new(&layer).await.unwrap();
    for _ in 0..9 {
        new(&layer).await.unwrap_err();
    }
    assert_eq!(layer.snapshot().promised, 2);
}

#[tokio::test(start_paused = true)]
async fn without_hints_a_refusal_says_nothing_and_keeps_nothing() {
    let layer = three_a_second(1).without_hints();
    new(&layer).await.unwrap();
    for _ in 0..3 {
        let refused = new(&layer).await.unwrap_err();
        assert_eq!((refused.retry_info, refused.pushback), (None, None));
    }
    advance(nanos(THIRD)).await;
    new(&layer).await.unwrap();
    assert_eq!(layer.snapshot().promised, 0);
}

#[transports::test(start_paused = true)]
async fn a_client_without_retries_sees_the_status_and_the_handler_is_not_called() {
    let server = serve(three_a_second(1));
    let mut client = client(server.channel());
    client.unary(EchoRequest::default()).await.unwrap();
    let status = client.unary(EchoRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().starts_with("rate limit exceeded: "));
    let delay = grpc_resilience::__internal::retry_delay(status.details()).unwrap();
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
    let pushback = ms(pushback.to_str().unwrap().parse().unwrap());
    assert!(delay <= pushback && pushback < delay + ms(1));
}
