//! How many calls may wait, and how they are released.

use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::classify::Reason;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::wait_for_ready::{InvalidWait, Readiness};
use grpc_resilience::{CallReport, GiveUp};
use testing::Server;
use tokio::time::{Instant, sleep};
use tonic::{Code, Request, Status};
use tower::{Layer, ServiceBuilder};

use crate::support::{
    SECOND, Stack, client, hello, message, ms, numbered, ours, policy, settle, spawn,
};

use super::layer;

fn assert_full(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status.message().contains("too many calls wait"),
        "{}",
        status.message()
    );
    assert_eq!(GiveUp::find(status), Some(GiveUp::QueueFull));
    assert_eq!(ours(status)[0].verdict().reason, Reason::QueueFull);
}

// CONTRACT W7
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn one_call_more_than_may_wait_fails_at_once_and_says_so() {
    let server = Server::in_memory_unstarted();
    let readiness = Readiness::new();
    let stack = layer()
        .max_waiting(3)
        .readiness(&readiness)
        .layer(server.channel());
    let mut waiting: Vec<_> = (0..3).map(|n| spawn(&stack, numbered(n))).collect();
    settle().await;
    assert_eq!(readiness.snapshot().waiting, 3);
    let start = Instant::now();
    let status = spawn(&stack, hello()).await.unwrap().unwrap_err();
    assert_full(&status);
    assert_eq!(start.elapsed(), ms(0));

    // A place that is given up is free again.
    waiting.remove(1).abort();
    settle().await;
    waiting.push(spawn(&stack, numbered(3)));
    settle().await;
    assert_full(&spawn(&stack, hello()).await.unwrap().unwrap_err());
    server.start().await;
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    assert_eq!(readiness.snapshot().waiting, 0);
}

// CONTRACT W7
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn requests_take_no_more_than_may_wait_of_bytes() {
    let server = Server::in_memory_unstarted();
    let readiness = Readiness::new();
    let stack = layer()
        .max_waiting_bytes(10_000)
        .readiness(&readiness)
        .layer(server.channel());
    let large = || Request::new(message(&"x".repeat(4_000)));
    let waiting = [spawn(&stack, large()), spawn(&stack, large())];
    settle().await;
    let bytes = readiness.snapshot().waiting_bytes;
    assert!((8_000..9_000).contains(&bytes), "{bytes}");
    assert_full(&spawn(&stack, large()).await.unwrap().unwrap_err());
    let small = spawn(&stack, hello());
    settle().await;
    assert!(!small.is_finished(), "there is room for this one");
    // Headers count, too.
    let mut heavy = hello();
    let value = "t".repeat(3_000).parse().unwrap();
    heavy.metadata_mut().insert("x-token", value);
    assert_full(&spawn(&stack, heavy).await.unwrap().unwrap_err());
    drop(waiting);
    server.start().await;
    small.await.unwrap().unwrap();
    assert_eq!(readiness.snapshot().waiting_bytes, 0);
}

// CONTRACT W7, X1, T2: the queue is the client's own, the server has nothing to do with it
// Over tonic alone: the bounds and the rate are the layer's; ours has a queue of its own (W7).
#[tokio::test(start_paused = true)]
async fn a_full_queue_is_neither_retried_unasked_nor_charged() {
    let server = Server::in_memory_unstarted();
    let budget = Arc::new(TokenBucket::default());
    let stack = |policy| {
        ServiceBuilder::new()
            .layer(BudgetLayer::new(Arc::clone(&budget)))
            .layer(RetryLayer::new(policy))
            .layer(layer().max_waiting(0))
            .service(server.channel())
    };
    let unasked = stack(policy());
    let first = spawn(&unasked, hello());
    sleep(ms(100)).await;
    assert_full(&first.await.unwrap().unwrap_err());
    let status = spawn(&unasked, hello()).await.unwrap().unwrap_err();
    assert_full(&status);
    let report = CallReport::find(&status).unwrap();
    assert_eq!((report.attempts(), report.transparent_retries()), (1, 0));

    // Whoever asks for it gets it, after a backoff.
    let asked = stack(policy().retry_on(Code::ResourceExhausted));
    let status = spawn(&asked, hello()).await.unwrap().unwrap_err();
    let report = CallReport::find(&status).unwrap();
    assert_eq!((report.attempts(), report.transparent_retries()), (4, 0));
    assert!((budget.tokens() - 300.0).abs() < f64::EPSILON);
}

/// When calls arrived after the first of them, and which they were.
async fn arrivals<T: Stack>(
    server: &Server,
    stack: &T,
    calls: usize,
) -> (Vec<Duration>, Vec<usize>) {
    let waiting: Vec<_> = (0..calls).map(|n| spawn(stack, numbered(n))).collect();
    settle().await;
    server.start().await;
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    let calls = server.calls();
    let number = |call: &testing::Call| call.header("x-call-id").unwrap().parse().unwrap();
    let times = calls.iter().map(|call| call.at - calls[0].at).collect();
    (times, calls.iter().map(number).collect())
}

// CONTRACT W8
// Over tonic alone: the bounds and the rate are the layer's; ours has a queue of its own (W7).
#[tokio::test(start_paused = true)]
async fn waiting_calls_are_released_in_order_and_as_fast_as_was_said() {
    let server = Server::in_memory_unstarted();
    let stack = layer().release_rate(100).unwrap().layer(server.channel());
    let (times, order) = arrivals(&server, &stack, 51).await;
    assert_eq!(order, (0..51).collect::<Vec<_>>());
    // The first one tested the channel; the others follow one by one, 10 ms apart.
    assert!(times[1] <= ms(2), "{:?}", times[1]);
    for (nth, time) in (0_u64..).zip(&times[1..]) {
        let due = ms(10 * nth);
        assert!(*time >= due && *time <= due + ms(3), "{nth}: {time:?}");
    }
    assert_eq!(server.dials(), 2);
}

// CONTRACT W8
// Over tonic alone: the bounds and the rate are the layer's; ours has a queue of its own (W7).
#[tokio::test(start_paused = true)]
async fn by_default_a_thousand_calls_take_a_tenth_of_a_second() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let (times, _) = arrivals(&server, &stack, 1_001).await;
    let last = times.iter().max().unwrap();
    assert!(*last >= ms(99) && *last <= ms(105), "{last:?}");
    for tenth in 0..10_u64 {
        let within = times
            .iter()
            .filter(|time| (ms(10 * tenth)..ms(10 * tenth + 10)).contains(*time));
        let count = within.count();
        assert!((80..=121).contains(&count), "{tenth}: {count}");
    }
}

#[transports::test(start_paused = true)]
async fn all_go_at_once_if_so_was_said() {
    let server = Server::in_memory_unstarted();
    let stack = layer().release_at_once().layer(server.channel());
    let (times, order) = arrivals(&server, &stack, 50).await;
    assert_eq!(order, (0..50).collect::<Vec<_>>());
    assert!(times.iter().all(|time| *time <= ms(1)), "{times:?}");
}

// Over tonic alone: the bounds and the rate are the layer's; ours has a queue of its own (W7).
#[tokio::test(start_paused = true)]
async fn a_call_that_comes_once_the_channel_is_ready_goes_at_once() {
    let server = Server::in_memory_unstarted();
    let stack = layer().release_rate(1).unwrap().layer(server.channel());
    let waiting: Vec<_> = (0..10).map(|n| spawn(&stack, numbered(n))).collect();
    settle().await;
    server.start().await;
    sleep(ms(1_500)).await;
    let start = Instant::now();
    spawn(&stack, hello()).await.unwrap().unwrap();
    assert_eq!(start.elapsed(), ms(0));
    assert!(server.count() <= 4, "{}", server.count());
    for call in waiting {
        call.await.unwrap().unwrap();
    }
}

// Releases are slots in time, which hang on nobody else.
#[transports::test(start_paused = true)]
async fn a_released_call_whose_owner_stopped_polling_holds_up_nobody() {
    let server = Server::in_memory_unstarted();
    let stack = layer().release_rate(100).unwrap().layer(server.channel());
    let first = spawn(&stack, numbered(0));
    settle().await;
    let mut blocked = Vec::new();
    for number in 1..5 {
        let mut client = client(stack.clone());
        let mut call = Box::pin(async move { client.unary(numbered(number)).await });
        assert!(futures_poll(&mut call).await);
        blocked.push(call);
    }
    let last = spawn(&stack, numbered(5));
    settle().await;
    server.start().await;
    let start = Instant::now();
    first.await.unwrap().unwrap();
    last.await.unwrap().unwrap();
    assert!(start.elapsed() <= SECOND + ms(50), "{:?}", start.elapsed());
    for call in blocked {
        call.await.unwrap();
    }
}

/// Polls once; whether it is pending.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())
    })
    .await
}

// The first in line keeps watch, and another one in case that nobody polls it.
// Over tonic alone: it counts dials that calls make; ours dials in a task of its own (C3).
#[tokio::test(start_paused = true)]
async fn a_first_in_line_whose_owner_stopped_polling_is_replaced_by_the_second() {
    let server = Server::in_memory_unstarted();
    let stack = layer().layer(server.channel());
    let mut client = client(stack.clone());
    let mut blocked = Box::pin(async move { client.unary(numbered(0)).await });
    // Its dial fails at once, and it waits.
    while server.dials() < 1 {
        assert!(futures_poll(&mut blocked).await);
        settle().await;
    }
    assert!(futures_poll(&mut blocked).await);
    let others: Vec<_> = (1..4).map(|n| spawn(&stack, numbered(n))).collect();
    settle().await;
    server.start().await;
    let start = Instant::now();
    for call in others {
        call.await.unwrap().unwrap();
    }
    let took = start.elapsed();
    assert!(took >= ms(900) && took <= ms(1_150), "{took:?}");
    blocked.await.unwrap();
}

// CONTRACT W1: a call that fails fast is never in the way of those that wait
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
#[tokio::test(start_paused = true)]
async fn calls_that_fail_fast_take_no_place_while_the_channel_is_down() {
    let server = Server::in_memory_unstarted();
    let readiness = Readiness::new();
    let stack = layer()
        .max_waiting(1)
        .readiness(&readiness)
        .layer(server.channel());
    let waiting = spawn(&stack, numbered(0));
    settle().await;
    for number in 1..5 {
        let mut hurried = numbered(number);
        hurried.call_options().fail_fast();
        let status = spawn(&stack, hurried).await.unwrap().unwrap_err();
        assert_eq!(GiveUp::find(&status), Some(GiveUp::NotReady));
    }
    assert_eq!(readiness.snapshot().waiting, 1);
    server.start().await;
    waiting.await.unwrap().unwrap();
}

// Bad configuration is a typed error at construction
#[test]
fn a_rate_at_which_no_call_would_go_is_refused_at_construction() {
    let refused = layer().release_rate(0).unwrap_err();
    assert_eq!(refused, InvalidWait::NoRelease);
}

// CONTRACT W5: a channel that is down must not be dialled without a break
#[test]
fn a_longest_backoff_of_zero_is_refused_at_construction() {
    let refused = layer().max_backoff(Duration::ZERO).unwrap_err();
    assert_eq!(refused, InvalidWait::NoBackoff);
}
