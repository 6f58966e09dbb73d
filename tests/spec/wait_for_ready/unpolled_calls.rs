//! Waiting calls that their owners put aside: the others go on without them.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use grpc_resilience::Resilience;
use grpc_resilience::call::CallOptionsExt;
use testing::Server;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service as _};

use crate::support::{SECOND, Stack, client, hello, ms, numbered, settle, spawn};

use super::layer;

type Parked = Pin<Box<dyn Future<Output = bool>>>;

/// A call that is polled so often and then put aside.
async fn parked<T: Stack>(stack: &T, polls: u32) -> Parked {
    let mut client = client(stack.clone());
    let mut call: Parked = Box::pin(async move { client.unary(hello()).await.is_ok() });
    for _ in 0..polls {
        poll_fn(|cx| {
            assert!(call.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        settle().await;
    }
    call
}

/// How long a call waits for a server that comes up while these stand before it.
async fn behind<T: Stack>(server: &Server, stack: T, parked: Vec<Parked>) -> Duration {
    let start = Instant::now();
    let mut client = client(stack);
    let mut request = hello();
    request.call_options().timeout(60 * SECOND);
    let call = tokio::spawn(async move { client.unary(request).await });
    sleep(ms(10)).await;
    server.start().await;
    call.await.unwrap().unwrap();
    drop(parked);
    start.elapsed()
}

// CONTRACT W11
#[transports::test(start_paused = true)]
async fn a_call_behind_any_number_that_nobody_polls_tests_the_channel_in_time() {
    for unpolled in [0, 1, 2, 7, 8, 9, 10, 20, 100, 1_000] {
        let server = Server::in_memory_unstarted();
        let stack = Resilience::new()
            .wait_for_ready(layer())
            .wrap(server.channel());
        let mut before = Vec::new();
        for number in 0..unpolled {
            // The first one sees its dial fail.
            before.push(parked(&stack, if number == 0 { 2 } else { 1 }).await);
        }
        let took = behind(&server, stack, before).await;
        assert!(took <= ms(1_500), "behind {unpolled}: {took:?}");
    }
}

// CONTRACT W11
#[transports::test(start_paused = true)]
async fn a_test_whose_failed_dial_nobody_fetches_holds_up_no_other_call() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let before = vec![parked(&stack, 1).await];
    let took = behind(&server, stack, before).await;
    assert!(took <= ms(500), "{took:?}");
    assert_eq!(server.dials(), 2);
}

// CONTRACT W11: under a stack the first dial is made as the call is handed on
#[transports::test(start_paused = true)]
async fn a_test_that_was_never_polled_holds_up_no_other_call() {
    let server = Server::in_memory_unstarted();
    let mut stack = layer().layer(server.channel());
    let request = http::Request::post("/test.v1.Echo/Unary")
        .body(tonic::body::Body::empty())
        .unwrap();
    poll_fn(|cx| stack.poll_ready(cx)).await.unwrap();
    let never = stack.call(request);
    let took = behind(&server, stack.clone(), Vec::new()).await;
    drop(never);
    assert!(took <= ms(1_500), "{took:?}");
}

// CONTRACT W11: those in line are asleep as the one that tests is put aside
#[transports::test(start_paused = true)]
async fn calls_asleep_behind_a_test_that_nobody_polls_any_more_are_woken() {
    for asleep in [1, 8, 9, 50] {
        let server = Server::in_memory_unstarted();
        let stack = layer().layer(server.channel());
        let mut first = parked(&stack, 2).await;
        let calls: Vec<_> = (0..asleep)
            .map(|number| spawn(&stack, numbered(number)))
            .collect();
        // It is due: the one put aside is first in line, and now it alone is polled.
        tokio::time::advance(ms(998)).await;
        poll_fn(|cx| {
            let _ = first.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
        server.start().await;
        let start = Instant::now();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert!(
            start.elapsed() <= 2 * SECOND,
            "{asleep}: {:?}",
            start.elapsed()
        );
    }
}

// CONTRACT W6, W11: a dial that takes long is not doubled, however many wait for it
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn a_slow_dial_whose_owner_is_polled_is_not_taken_over() {
    let server = Server::in_memory();
    server.set_dial_time(15 * SECOND);
    let stack = layer().layer(server.channel());
    let calls: Vec<_> = (0..50)
        .map(|number| spawn(&stack, numbered(number)))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.dials(), 1);
}

// CONTRACT W11: the dead ones were woken once, and stand in nobody's way from then on
#[transports::test(start_paused = true)]
async fn calls_that_did_not_ask_when_they_were_woken_are_passed_over() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let mut before = vec![parked(&stack, 2).await];
    for _ in 1..20 {
        before.push(parked(&stack, 1).await);
    }
    let start = Instant::now();
    let mut client = client(stack);
    let call = tokio::spawn(async move { client.unary(hello()).await });
    sleep(20 * SECOND).await;
    let dials = server.dials();
    assert!(dials >= 19, "{dials} dials in {:?}", start.elapsed());
    call.abort();
}
