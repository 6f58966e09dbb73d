//! What a caller hears at its deadline, and when the work on its call stops.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use grpc_resilience::call::ParentCall;
use test_protos::EchoResponse;
use testing::method::{SERVER_STREAM, UNARY};
use tokio::time::{interval, sleep};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::IntervalStream;
use tonic::Code;

use crate::support::{MALFORMED_TIMEOUTS, SECOND, ms};

use super::closures::{Answers, Front, Stops};
use super::raw_http2::{Raw, hello_frame};

fn text(text: &str) -> EchoResponse {
    EchoResponse {
        text: text.to_owned(),
        ..EchoResponse::default()
    }
}

fn stopped(after: &str) -> (Code, String) {
    let message = format!("the caller's deadline of {after} passed; the handler was stopped");
    (Code::DeadlineExceeded, message)
}

/// Never answers.
fn hanging(stops: &Stops) -> Front {
    let stops = stops.clone();
    Front::unary(move |_| {
        let guard = stops.guard();
        async move {
            let _guard = guard;
            pending().await
        }
    })
}

// CONTRACT D5, D10
#[tokio::test(start_paused = true)]
async fn a_handler_is_dropped_at_its_caller_s_deadline_which_is_the_answer() {
    let stops = Stops::new();
    let raw = Raw::in_memory(hanging(&stops)).await;
    let answer = raw.call(UNARY, Some("100m")).await;
    assert_eq!(answer.status(), stopped("100ms"));
    assert_eq!(answer.took, ms(100));
    assert_eq!(stops.times(), [ms(100)]);
    assert_eq!(answer.trailers, None, "Trailers-Only");
    assert_eq!(answer.head["content-type"], "application/grpc");
}

// CONTRACT D5, D9, D10: tonic's own timer ends with the head
#[tokio::test(start_paused = true)]
async fn an_answer_that_has_begun_is_cut_at_the_deadline_with_its_trailers() {
    let stops = Stops::new();
    let until = stops.clone();
    let front = Front::stream(move |_| {
        let guard = until.guard();
        async move {
            let first = tokio_stream::once(Ok(text("hello")));
            let rest = first.chain(tokio_stream::pending());
            let guarded = rest.map(move |answer| (&guard, answer).1);
            Ok(Box::pin(guarded) as Answers)
        }
    });
    let raw = Raw::in_memory(front).await;
    let answer = raw.call(SERVER_STREAM, Some("100m")).await;
    assert_eq!(answer.data, hello_frame());
    assert!(!answer.head.contains_key("grpc-status"));
    assert!(answer.trailers.is_some());
    assert_eq!(answer.status(), stopped("100ms"));
    assert_eq!((answer.took, stops.times()), (ms(100), vec![ms(100)]));
}

// CONTRACT D9, D10
#[tokio::test(start_paused = true)]
async fn an_answer_that_trickles_is_cut_at_the_deadline() {
    let front = Front::stream(|_| async {
        let ticks = IntervalStream::new(interval(ms(30)));
        Ok(Box::pin(ticks.map(|_| Ok(text("hello")))) as Answers)
    });
    let raw = Raw::in_memory(front).await;
    let answer = raw.call(SERVER_STREAM, Some("100m")).await;
    assert_eq!(answer.data.len(), 4 * hello_frame().len());
    assert_eq!((answer.took, answer.status()), (ms(100), stopped("100ms")));
}

/// Fifty handlers that hang, each with tonic's own timer around ours.
async fn wins(raw: Raw) {
    let timeouts = [
        "999u", "1m", "1001u", "1500u", "2m", "1999999n", "3m", "0001S",
    ];
    for round in 0..50 {
        let timeout = timeouts[round % (timeouts.len() - 1)];
        let (code, message) = raw.call(UNARY, Some(timeout)).await.status();
        assert_eq!(
            code,
            Code::DeadlineExceeded,
            "{round}, {timeout}: {message}"
        );
        assert!(
            message.starts_with("the caller's deadline of "),
            "{message}"
        );
    }
}

// CONTRACT D5: tonic's server has a timer of its own, which answers CANCELLED
#[tokio::test(start_paused = true)]
async fn the_layer_is_always_before_tonic_s_own_timer() {
    wins(Raw::in_memory(hanging(&Stops::new())).await).await;
}

// CONTRACT D5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_layer_is_always_before_tonic_s_own_timer_on_a_real_clock_too() {
    wins(Raw::tcp(hanging(&Stops::new())).await).await;
}

/// Counts its calls, and answers at once.
fn counting() -> (Front, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let front = Front::unary(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(text("hello")) }
    });
    (front, count)
}

// CONTRACT D5, D10
#[tokio::test(start_paused = true)]
async fn a_call_whose_time_was_up_when_it_came_is_answered_without_its_handler() {
    let (front, count) = counting();
    let raw = Raw::in_memory(front).await;
    for timeout in ["0n", "0m", "0H", "00000000S"] {
        let answer = raw.call(UNARY, Some(timeout)).await;
        let (code, message) = answer.status();
        assert_eq!(code, Code::DeadlineExceeded);
        assert_eq!(
            message,
            "the caller's deadline had passed when the call arrived"
        );
        assert_eq!((answer.took, answer.trailers), (Duration::ZERO, None));
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
    let (code, _) = raw.call(UNARY, Some("1m")).await.status();
    assert_eq!((code, count.load(Ordering::Relaxed)), (Code::Ok, 1));
}

// CONTRACT D4: tonic's own timer ignores what it can't read, and lets the call through to the layer
#[tokio::test(start_paused = true)]
async fn a_malformed_timeout_is_answered_with_internal_and_without_its_handler() {
    let (front, count) = counting();
    let raw = Raw::in_memory(front).await;
    let others = ["000000001m", "1,2S", "\u{664}S"];
    for malformed in MALFORMED_TIMEOUTS.into_iter().chain(others) {
        let answer = raw.call(UNARY, Some(malformed)).await;
        let (code, message) = answer.status();
        assert_eq!(code, Code::Internal, "{malformed:?}");
        assert!(message.starts_with("malformed grpc-timeout"), "{message}");
        assert_eq!((answer.took, answer.trailers), (Duration::ZERO, None));
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
}

// CONTRACT D3, D7
#[tokio::test(start_paused = true)]
async fn a_call_without_a_timeout_or_with_the_longest_may_take_as_long_as_it_takes() {
    let front = Front::unary(|_| async {
        sleep(10_000_000 * SECOND).await;
        let is_bounded = ParentCall::current().unwrap().deadline().is_some();
        Ok(text(if is_bounded { "bounded" } else { "unbounded" }))
    });
    let raw = Raw::in_memory(front).await;
    for (timeout, says) in [(None, "unbounded"), (Some("99999999H"), "bounded")] {
        let answer = raw.call(UNARY, timeout).await;
        assert_eq!(answer.status().0, Code::Ok);
        assert!(answer.data.ends_with(says.as_bytes()));
        assert_eq!(answer.took, 10_000_000 * SECOND);
    }
}

// CONTRACT D5
#[tokio::test(start_paused = true)]
async fn an_answer_just_in_time_is_the_handler_s() {
    let front = Front::unary(|_| async {
        sleep(ms(99)).await;
        Ok(text("hello"))
    });
    let raw = Raw::in_memory(front).await;
    let answer = raw.call(UNARY, Some("100m")).await;
    assert_eq!((answer.status().0, answer.took), (Code::Ok, ms(99)));
    assert_eq!(answer.data, hello_frame());
}
