//! When the channel is dialled.

use std::time::Duration;

use grpc_resilience::Resilience;
use grpc_resilience::backoff::{Backoff, Exponential, Jitter, Retry};
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use testing::Server;
use tokio::time::{Instant, sleep};
use tonic::Code;
use tower::Layer;

use crate::support::{
    SECOND, Stack, client, dial_times, every, hello, ms, numbered, policy, settle, spawn,
};

fn doubling() -> Exponential {
    let curve = Exponential::new(SECOND).unwrap().max(4 * SECOND).unwrap();
    curve.jitter(Jitter::None)
}

fn gaps(times: &[Duration]) -> Vec<Duration> {
    times
        .windows(2)
        .map(|pair| pair[1].saturating_sub(pair[0]))
        .collect()
}

// CONTRACT W5
// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn dials_follow_the_backoff_to_its_cap() {
    let server = Server::in_memory_unstarted();
    let stack = WaitForReadyLayer::new()
        .backoff(doubling())
        .layer(server.channel());
    let call = tokio::spawn(async move { client(stack).unary(hello()).await });
    let times = dial_times(&server, Instant::now(), 16 * SECOND).await;
    call.abort();
    // Each is seen up to a millisecond after it was made.
    let seconds: Vec<u64> = times
        .iter()
        .map(|time| time.saturating_sub(ms(1)).as_secs())
        .collect();
    assert_eq!(seconds, [0, 1, 3, 7, 11, 15]);
}

/// When a server that is down is dialled, under this layer.
async fn dials_of(layer: WaitForReadyLayer, span: Duration) -> Vec<Duration> {
    let server = Server::in_memory_unstarted();
    let stack = layer.layer(server.channel());
    let call = tokio::spawn(async move { client(stack).unary(hello()).await });
    let times = dial_times(&server, Instant::now(), span).await;
    call.abort();
    times
}

fn within_a_fifth(gap: Duration, middle: Duration) -> bool {
    // Each is seen up to a millisecond after it was made.
    let (low, high) = (middle.mul_f64(0.8), middle.mul_f64(1.2));
    (low.saturating_sub(ms(2))..=high + ms(2)).contains(&gap)
}

// CONTRACT W5
// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn a_young_outage_is_dialled_each_second_and_an_old_one_each_ten_seconds() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..8 {
        let times = dials_of(WaitForReadyLayer::new().seed(seed), 60 * SECOND).await;
        let gaps = gaps(&times);
        let mut middle = ms(100);
        for (gap, at) in gaps.iter().zip(&times) {
            match at.as_millis() {
                0..9_000 => {
                    assert!(within_a_fifth(*gap, middle), "{gap:?} for {middle:?}");
                    middle = middle.mul_f64(1.6).min(ms(800));
                }
                40_000.. => assert!(within_a_fifth(*gap, 10 * SECOND), "{gap:?} at {at:?}"),
                _ => assert!(*gap <= 12 * SECOND + ms(2), "{gap:?} at {at:?}"),
            }
        }
        assert!((18..30).contains(&times.len()), "{}", times.len());
        seen.insert(gaps[0]);
    }
    assert!(
        seen.len() > 5,
        "the jitter differs from seed to seed: {seen:?}"
    );
}

// CONTRACT W5
// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn grpc_s_curve_can_be_asked_for() {
    let layer = WaitForReadyLayer::new().backoff(Exponential::grpc());
    let gaps = gaps(&dials_of(layer, 11 * SECOND).await);
    assert!(gaps.len() >= 4, "{gaps:?}");
    let mut middle = SECOND;
    for gap in &gaps {
        assert!(within_a_fifth(*gap, middle), "{gap:?} for {middle:?}");
        middle = middle.mul_f64(1.6);
    }
}

// CONTRACT W5
// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn a_success_resets_the_backoff() {
    let server = Server::in_memory_unstarted();
    let stack = WaitForReadyLayer::new()
        .backoff(doubling())
        .layer(server.channel());
    let call = |number| spawn(&stack, numbered(number));
    let first = call(1);
    sleep(5 * SECOND).await;
    server.start().await;
    first.await.unwrap().unwrap();
    server.stop();
    settle().await;
    let dials = server.dials();
    let second = call(2);
    let start = Instant::now();
    let times = dial_times(&server, start, ms(3_500)).await;
    second.abort();
    let again: Vec<u64> = times[usize::try_from(dials).unwrap()..]
        .iter()
        .map(|time| time.saturating_sub(ms(1)).as_secs())
        .collect();
    // A first failure after a success may be an old one's; it is made sure of at once.
    assert_eq!(again, [0, 0, 1, 3]);
}

// CONTRACT W5, W6, W8
// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn a_hundred_waiting_calls_dial_as_one_and_are_released_in_order_of_arrival() {
    let server = Server::in_memory_unstarted();
    let stack = WaitForReadyLayer::new()
        .backoff(doubling())
        .layer(server.channel());
    let mut calls = Vec::new();
    for number in 0..100 {
        let mut client = client(stack.clone());
        calls.push(tokio::spawn(
            async move { client.unary(numbered(number)).await },
        ));
        settle().await;
    }
    let start = Instant::now();
    sleep(16 * SECOND).await;
    // 0, 1, 3, 7, 11 and 15 s, as for a single one.
    assert_eq!(server.dials(), 6);
    server.start().await;
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(start.elapsed() < 20 * SECOND);
    assert_eq!(server.dials(), 7);
    let order: Vec<String> = server
        .calls()
        .into_iter()
        .filter_map(|call| call.call_id)
        .collect();
    let arrival: Vec<String> = (0..100).map(|number: i32| number.to_string()).collect();
    assert_eq!(order, arrival);
}

// CONTRACT W1, W5; FIELD.md 5: without memory 800 calls dial 800 times
// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn calls_that_fail_fast_do_not_dial_while_the_gate_is_closed() {
    let server = Server::in_memory_unstarted();
    let backoff = every(SECOND);
    let stack = Resilience::new()
        .wait_for_ready(WaitForReadyLayer::new().fail_fast().backoff(backoff))
        .wrap(server.channel());
    let mut request = hello();
    request.call_options().never_retry();
    let _ = client(stack.clone()).unary(request).await.unwrap_err();
    for _ in 0..800 {
        let mut request = hello();
        request.call_options().never_retry();
        let status = client(stack.clone()).unary(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        sleep(ms(1)).await;
    }
    assert_eq!(server.dials(), 1);
    // Somebody has to find out when it is back: one call a backoff.
    for _ in 0..800 {
        let mut request = hello();
        request.call_options().never_retry();
        let _ = client(stack.clone()).unary(request).await.unwrap_err();
        sleep(ms(1)).await;
    }
    assert_eq!(server.dials(), 2);
    server.start().await;
    sleep(SECOND).await;
    client(stack.clone()).unary(hello()).await.unwrap();
    client(stack).unary(hello()).await.unwrap();
    assert_eq!(server.dials(), 3);
}

// Two services know nothing of each other, the clones of one know the same.
#[transports::test(start_paused = true)]
async fn clones_share_what_they_know_and_two_channels_do_not() {
    let (down, up) = (Server::in_memory_unstarted(), Server::in_memory());
    let layer = WaitForReadyLayer::new().fail_fast().backoff(every(SECOND));
    let (one, other) = (layer.layer(down.channel()), layer.layer(up.channel()));
    let _ = client(one.clone()).unary(hello()).await.unwrap_err();
    let _ = client(one.clone()).unary(hello()).await.unwrap_err();
    assert_eq!(down.dials(), 1);
    client(other).unary(hello()).await.unwrap();
}

// CONTRACT W5, W6: what opens the gate is the transport that reads the request, no layer between
// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn a_retry_layer_below_that_captures_the_request_does_not_open_the_gate() {
    let retry = || RetryLayer::new(policy().max_attempts(1).unwrap());
    let waiting = || WaitForReadyLayer::new().backoff(doubling());
    let server = Server::in_memory_unstarted();
    let above = waiting().layer(retry().layer(server.channel()));
    dials_as_one(&server, above).await;
    let server = Server::in_memory_unstarted();
    let below = retry().layer(waiting().layer(server.channel()));
    dials_as_one(&server, below).await;
}

/// A hundred calls to a channel whose dials take 50 ms to fail, so that many could pass meanwhile.
async fn dials_as_one<T: Stack>(server: &Server, stack: T) {
    server.set_dial_time(ms(50));
    let mut calls = Vec::new();
    let mut call = |number| {
        let mut client = client(stack.clone());
        calls.push(tokio::spawn(
            async move { client.unary(numbered(number)).await },
        ));
    };
    call(0);
    sleep(ms(100)).await;
    (1..100).for_each(call);
    sleep(16 * SECOND).await;
    // After waits of 0, 1, 2, 4, 4 and 4 s.
    assert_eq!(server.dials(), 6);
    server.start().await;
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.dials(), 7);
}

/// Hopeless.
#[derive(Debug)]
struct Never;

impl Backoff for Never {
    fn delay(&self, _: &Retry) -> Duration {
        Duration::MAX
    }
}

// CONTRACT W5, D7
// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn a_backoff_too_long_for_the_clock_means_never_soon_and_not_at_once() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(ms(1));
    let stack = WaitForReadyLayer::new()
        .backoff(Never)
        .layer(server.channel());
    let calls = [0, 1].map(|number| spawn(&stack, numbered(number)));
    sleep(SECOND).await;
    let dials = server.dials();
    assert!(dials <= 2, "{dials} dials");
    sleep(30 * 86_400 * SECOND).await;
    assert_eq!(server.dials(), dials);
    assert!(calls.iter().all(|call| !call.is_finished()));
    // It still ends when its caller says so.
    let mut bounded = hello();
    bounded.call_options().timeout(SECOND);
    let stack = DeadlineLayer::new().layer(stack);
    let status = client(stack).unary(bounded).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}
