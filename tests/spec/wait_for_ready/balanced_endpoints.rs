//! A balanced channel: a failed connect says something of one endpoint only.
//!
//! Over tonic alone: this crate's channel knows its endpoints.

use grpc_resilience::wait_for_ready::{InvalidWait, WaitForReadyLayer};
use testing::Server;
use tokio::time::{Instant, sleep};
use tonic::Code;
use tonic::transport::Channel;
use tower::Layer;

use crate::support::{SECOND, by_turns, client, every, hello, ms, settle, spawn};

use super::layer;

// DESIGN decision 14
#[tokio::test(start_paused = true)]
async fn with_several_endpoints_a_waiting_call_goes_to_the_next_pick_at_once() {
    let (dead, live) = (Server::in_memory_unstarted(), Server::in_memory());
    let picks = [
        true, true, false, true, false, true, true, true, true, true, false,
    ];
    let (balanced, taken) = by_turns(&dead, &live, picks);
    let mut client = client(layer().endpoints(2).unwrap().layer(balanced));
    let start = Instant::now();
    for _ in 0..3 {
        client.unary(hello()).await.unwrap();
    }
    assert_eq!(start.elapsed(), ms(0));
    assert_eq!(taken.lock().unwrap().len(), picks.len());
    assert_eq!(live.count(), 3);
}

// DESIGN decision 14
#[tokio::test(start_paused = true)]
async fn three_times_the_endpoints_in_a_row_close_the_gate_and_an_answer_between_starts_anew() {
    let (dead, live) = (Server::in_memory_unstarted(), Server::in_memory());
    let mut picks = vec![true; 5];
    picks.push(false);
    picks.extend([true; 6]);
    let (balanced, taken) = by_turns(&dead, &live, picks);
    let mut client = client(layer().endpoints(2).unwrap().layer(balanced));
    client.unary(hello()).await.unwrap();
    let start = Instant::now();
    client.unary(hello()).await.unwrap();
    // Six failures closed it, the seventh pick came after the backoff.
    assert_eq!(start.elapsed(), SECOND);
    let taken = taken.lock().unwrap().clone();
    assert_eq!(taken[..12], [ms(0); 12]);
    assert_eq!(taken[12], SECOND);
}

// DESIGN decision 14
#[tokio::test(start_paused = true)]
async fn with_one_endpoint_a_single_failed_connect_closes_the_gate() {
    let (dead, live) = (Server::in_memory_unstarted(), Server::in_memory());
    let (balanced, _) = by_turns(&dead, &live, [true]);
    let mut client = client(layer().layer(balanced));
    let start = Instant::now();
    client.unary(hello()).await.unwrap();
    assert_eq!(start.elapsed(), SECOND);
}

// CONTRACT W1
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_fast_fails_at_its_pick_and_the_next_one_has_a_pick_of_its_own() {
    let (dead, live) = (Server::in_memory_unstarted(), Server::in_memory());
    let (balanced, _) = by_turns(&dead, &live, [true, false, true, false]);
    let mut client = client(layer().fail_fast().endpoints(2).unwrap().layer(balanced));
    for _ in 0..2 {
        let status = client.unary(hello()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        client.unary(hello()).await.unwrap();
    }
}

// CONTRACT W10: each of its endpoints may serve the error of an old dial
#[tokio::test(start_paused = true)]
async fn calls_of_a_balanced_channel_that_is_wholly_down_dial_in_rounds_by_the_backoff() {
    let dead = Server::in_memory_unstarted();
    let (balanced, taken) = by_turns(&dead, &dead, []);
    let stack = layer().endpoints(2).unwrap().layer(balanced);
    for _ in 0..20 {
        let mut client = client(stack.clone());
        tokio::spawn(async move { client.unary(hello()).await });
        settle().await;
    }
    sleep(10 * SECOND).await;
    let taken = taken.lock().unwrap().len();
    assert_eq!(taken, 6 + 10 * 6);
}

/// tonic's own balancer over these.
fn balance(servers: &[&Server]) -> Channel {
    Channel::balance_list(servers.iter().map(|server| server.endpoint()))
}

// FIELD.md 5: of tonic's balanced channel, one dead endpoint of two fails 37.6 % of calls
#[tokio::test]
async fn under_tonic_s_own_balancer_a_dead_endpoint_fails_no_call_that_waits() {
    let (dead, live) = (Server::tcp_unstarted(), Server::tcp().await);
    let stack = layer().endpoints(2).unwrap();
    let stack = stack.layer(balance(&[&dead, &live]));
    for _ in 0..100 {
        // Each in a task of its own, so that the balancer's comes between.
        spawn(&stack, hello()).await.unwrap().unwrap();
    }
    assert_eq!(live.count(), 100);
}

// FIELD.md 5: it serves the errors of old dials after the server is back, in 15 of 20 rounds
#[tokio::test]
async fn under_tonic_s_own_balancer_the_errors_of_old_dials_fail_no_call_that_waits() {
    for _ in 0..5 {
        let servers = [Server::tcp_unstarted(), Server::tcp_unstarted()];
        let quick = WaitForReadyLayer::new().backoff(every(ms(20))).endpoints(2);
        let stack = quick.unwrap().layer(balance(&[&servers[0], &servers[1]]));
        let mut calls: Vec<_> = (0..20).map(|_| spawn(&stack, hello())).collect();
        sleep(ms(50)).await;
        for server in &servers {
            server.start().await;
        }
        calls.extend((0..20).map(|_| spawn(&stack, hello())));
        for call in calls {
            call.await.unwrap().unwrap();
        }
    }
}

// Bad configuration is a typed error at construction
#[test]
fn a_channel_of_no_endpoints_is_refused_at_construction() {
    assert_eq!(layer().endpoints(0).unwrap_err(), InvalidWait::NoEndpoints);
    assert!(layer().endpoints(1).is_ok());
}
