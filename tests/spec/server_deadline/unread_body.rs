//! A caller that does not read what it asked for: hyper asks a body for nothing that the caller has no
//! room for, so no timer in it can run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use test_protos::EchoResponse;
use testing::method::SERVER_STREAM;
use tokio::time::sleep;
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::support::{SECOND, ms};

use super::closures::{Answers, Front, Stops};
use super::raw_http2::{Open, Raw};

/// A stream without end that filled the caller's window long before its deadline, which has passed:
/// nothing more was made of it.
async fn unread(stops: &Stops) -> (Raw, Open) {
    let made = Arc::new(AtomicUsize::new(0));
    let (stops, count) = (stops.clone(), Arc::clone(&made));
    let front = Front::stream(move |_| {
        let (guard, count) = (stops.guard(), Arc::clone(&count));
        let endless = std::iter::repeat_with(move || {
            count.fetch_add(1, Ordering::Relaxed);
            EchoResponse {
                payload: vec![7; 10_000].into(),
                ..EchoResponse::default()
            }
        });
        let guarded = tokio_stream::iter(endless).map(move |answer| (&guard, Ok(answer)).1);
        async { Ok(Box::pin(guarded) as Answers) }
    });
    let raw = Raw::in_memory(front).await;
    let open = raw.open(SERVER_STREAM, Some("100m")).await;
    sleep(ms(50)).await;
    let before = made.load(Ordering::Relaxed);
    sleep(SECOND).await;
    assert!(before > 0);
    assert_eq!(made.load(Ordering::Relaxed), before);
    (raw, open)
}

// CONTRACT D9, D10: a limit that the page of the layer states
#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_makes_nothing_more_and_is_cut_when_somebody_reads_on() {
    let stops = Stops::new();
    let (_raw, open) = unread(&stops).await;
    assert_eq!(stops.times(), []);
    let answer = open.answer().await;
    assert_eq!(answer.status().0, Code::DeadlineExceeded);
    assert!(answer.trailers.is_some());
    assert_eq!(stops.times(), [ms(1_050)]);
}

// CONTRACT D10
#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_is_dropped_when_its_caller_resets_it() {
    let stops = Stops::new();
    let (_raw, open) = unread(&stops).await;
    open.reset();
    sleep(ms(1)).await;
    assert_eq!(stops.times().len(), 1);
}
