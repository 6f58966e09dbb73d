//! What a call does while it waits: nothing.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use grpc_resilience::Resilience;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use test_protos::EchoResponse;
use testing::Server;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tonic::{Response, Status};
use tower::Layer;

use crate::support::{SECOND, Stack, client, every, numbered, settle};

const CALLS: usize = 50;
/// The one that tests the channel, and the eight behind it, who have a timer for the next dial.
const WATCHERS: usize = 1 + 8;

struct Watched {
    polls: Arc<AtomicUsize>,
    call: JoinHandle<Result<Response<EchoResponse>, Status>>,
}

/// A call whose every poll is counted.
fn watched<T: Stack>(stack: &T, number: usize) -> Watched {
    let polls = Arc::<AtomicUsize>::default();
    let (count, mut client) = (Arc::clone(&polls), client(stack.clone()));
    let call = tokio::spawn(async move {
        let mut call = pin!(client.unary(numbered(number)));
        let counted = std::future::poll_fn(|cx| -> Poll<_> {
            count.fetch_add(1, Ordering::Relaxed);
            call.as_mut().poll(cx)
        });
        counted.await
    });
    Watched { polls, call }
}

fn polls(calls: &[Watched]) -> Vec<usize> {
    let polls = calls.iter().map(|it| it.polls.load(Ordering::Relaxed));
    polls.collect()
}

async fn sleeps<T: Stack>(server: &Server, stack: T) {
    server.stop();
    let mut calls = Vec::new();
    for number in 0..CALLS {
        calls.push(watched(&stack, number));
        settle().await;
    }
    let (before, dials) = (polls(&calls), server.dials());
    sleep(600 * SECOND).await;
    let (after, dials) = (polls(&calls), server.dials() - dials);
    assert!(dials >= 590, "{dials}");
    assert_eq!(after[WATCHERS..], before[WATCHERS..], "{dials} dials");
    server.start().await;
    for call in calls {
        call.call.await.unwrap().unwrap();
    }
}

// CONTRACT W6, W7
// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn a_call_far_back_in_line_is_woken_by_no_timer_and_no_failed_dial() {
    let server = Server::in_memory_unstarted();
    let layer = || WaitForReadyLayer::new().backoff(every(SECOND));
    sleeps(&server, layer().layer(server.channel())).await;
    let full = Resilience::new()
        .default_timeout(3_600 * SECOND)
        .wait_for_ready(layer());
    sleeps(&server, full.wrap(server.channel())).await;
}
