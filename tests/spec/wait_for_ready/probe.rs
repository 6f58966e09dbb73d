//! The one call that tests the channel for all.

use grpc_resilience::Resilience;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::wait_for_ready::ConnectivityState;
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep, timeout};
use tower::Layer;

use crate::support::{
    SECOND, Stack, all_ended, client, hello, ms, numbered, poll_once, settle, spawn, unavailable,
};

use super::layer;

// DESIGN decision 14
#[transports::test(start_paused = true)]
async fn a_handler_that_hangs_under_the_probe_does_not_hold_the_others() {
    let server = Server::in_memory_unstarted();
    holds_nobody(&server, layer().layer(server.channel()), false).await;
    let full = Resilience::new().wait_for_ready(layer());
    holds_nobody(&server, full.wrap(server.channel()), false).await;
}

// DESIGN decision 14
#[transports::test(start_paused = true)]
async fn a_handler_that_hangs_under_a_probe_that_fails_fast_does_not_hold_the_others() {
    let server = Server::in_memory_unstarted();
    holds_nobody(&server, layer().layer(server.channel()), true).await;
}

/// Closes the gate, makes the next call the probe and lets it hang; a further one has to pass.
async fn holds_nobody<T: Stack>(server: &Server, stack: T, probe_fails_fast: bool) {
    server.stop();
    let mut first = hello();
    first.call_options().fail_fast().never_retry();
    let _ = client(stack.clone()).unary(first).await.unwrap_err();
    server.clear();
    server.script().on(method::UNARY, [Answer::hang()]);
    server.start().await;
    sleep(SECOND).await;
    let probe = tokio::spawn({
        let mut request = numbered(1);
        if probe_fails_fast {
            request.call_options().fail_fast();
        }
        let mut client = client(stack.clone());
        async move { client.unary(request).await }
    });
    server.wait_for_calls(1).await;
    let start = Instant::now();
    for number in 2..5 {
        let mut client = client(stack.clone());
        timeout(SECOND, client.unary(numbered(number)))
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!(start.elapsed(), ms(0));
    assert!(!probe.is_finished());
    probe.abort();
}

// DESIGN decision 14
#[transports::test(start_paused = true)]
async fn a_probe_that_is_dropped_hands_over_to_the_next() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let call = |number| spawn(&stack, numbered(number));
    let first = call(1);
    settle().await;
    let others = [call(2), call(3)];
    server.set_dial_time(5 * SECOND);
    // The first one dials at 1 s, and is dropped while it does.
    sleep(ms(1_500)).await;
    assert_eq!(server.dials(), 2);
    first.abort();
    server.start().await;
    server.set_dial_time(ms(0));
    for other in others {
        timeout(10 * SECOND, other).await.unwrap().unwrap().unwrap();
    }
    all_ended(&server).await;
    assert_eq!(server.count(), 2);
}

// DESIGN decision 14
#[transports::test(start_paused = true)]
async fn a_waiting_call_that_is_dropped_leaves_the_others_waiting_as_before() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let call = |number| spawn(&stack, numbered(number));
    let mut calls: Vec<_> = (0..10).map(call).collect();
    settle().await;
    for number in [0, 3, 6] {
        calls[number].abort();
    }
    sleep(ms(1_500)).await;
    server.start().await;
    let mut done = 0;
    for call in calls.drain(..) {
        done += usize::from(call.await.is_ok());
    }
    assert_eq!((done, server.count()), (7, 7));
}

// CONTRACT W3; DESIGN decision 14
#[transports::test(start_paused = true)]
async fn a_probe_that_the_server_answers_with_unavailable_opens_the_gate() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let first = spawn(&stack, numbered(1));
    settle().await;
    let second = spawn(&stack, numbered(2));
    settle().await;
    server.script().on(method::UNARY, [unavailable("starting")]);
    server.start().await;
    let start = Instant::now();
    assert_eq!(first.await.unwrap().unwrap_err().message(), "starting");
    second.await.unwrap().unwrap();
    assert!(start.elapsed() <= SECOND);
}

// CONTRACT W11; DESIGN decision 14
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn a_probe_whose_owner_does_not_fetch_its_result_is_taken_over_after_the_backoff() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let mut owner = client(stack.clone());
    let mut kept = Box::pin(owner.unary(numbered(1)));
    poll_once(&mut kept).await;
    settle().await;
    // Its dial failed, and closes the gate; the next poll waits, the one after the backoff probes.
    poll_once(&mut kept).await;
    sleep(SECOND).await;
    poll_once(&mut kept).await;
    let failed = Instant::now();
    settle().await;
    assert_eq!(server.dials(), 2);
    server.start().await;

    let mut others = Vec::new();
    for number in 2..5 {
        let mut client = client(stack.clone());
        let call = async move { (client.unary(numbered(number)).await, Instant::now()) };
        others.push(tokio::spawn(call));
    }
    for other in others {
        let (answer, at) = timeout(60 * SECOND, other).await.unwrap().unwrap();
        answer.unwrap();
        let waited = at - failed;
        assert!((SECOND..=SECOND + ms(5)).contains(&waited), "{waited:?}");
    }
    assert_eq!(server.dials(), 3, "one of them dialled for all");

    // The owner's own call is not lost, and its old news does not close the gate again.
    let resumed = Instant::now();
    timeout(2 * SECOND, kept).await.unwrap().unwrap();
    assert!(resumed.elapsed() < ms(2), "{:?}", resumed.elapsed());
    assert_eq!((server.count(), server.dials()), (4, 3));
}

// CONTRACT W5, W6: nothing tells a silent dial from one that takes long, so it has its lease
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn a_probe_that_is_silent_is_taken_over_when_its_lease_ends() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(3_600 * SECOND);
    let stack = layer().layer(server.channel());
    let mut owner = client(stack.clone());
    let mut kept = Box::pin(owner.unary(numbered(1)));
    poll_once(&mut kept).await;
    let readiness = stack.readiness();
    let mut other = client(stack);
    let _other = tokio::spawn(async move { other.unary(numbered(2)).await });
    sleep(SECOND * 19).await;
    assert_eq!(readiness.state(), ConnectivityState::Connecting);
    sleep(2 * SECOND).await;
    assert_eq!(readiness.state(), ConnectivityState::TransientFailure);
}

// CONTRACT W5, W6
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn a_slow_dial_within_its_lease_is_the_only_one() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let first = spawn(&stack, numbered(1));
    settle().await;
    server.set_dial_time(15 * SECOND);
    let mut others = Vec::new();
    for number in 2..20 {
        others.push(spawn(&stack, numbered(number)));
    }
    // Dials at 1 s until 16 s, and at 17 s until 32 s: none beside another.
    sleep(15 * SECOND).await;
    assert_eq!(server.dials(), 2);
    sleep(14 * SECOND).await;
    assert_eq!(server.dials(), 3);
    server.start().await;
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
}
