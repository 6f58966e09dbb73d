//! What calls that wait for their channel hold of memory.

use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::wait_for_ready::{Readiness, WaitForReadyLayer};
use grpc_resilience::{BoxError, Resilience};
use test_protos::{EchoClient, EchoRequest};
use testing::{Server, settle};
use tokio::task::JoinSet;
use tonic::Request;
use tonic::body::Body;
use tonic::client::GrpcService;
use tower::Layer as _;

use super::ALLOCATOR;
use super::support::alone;

const CALLS: usize = 10_000;
const PAYLOAD: usize = 100;

/// What each of so many waiting calls holds, its task and its request included.
async fn held_by_each<T>(channel: &T, readiness: Option<&Readiness>) -> usize
where
    T: GrpcService<Body, Future: Send> + Clone + Send + 'static,
    T::Error: Into<BoxError> + Send,
    T::ResponseBody: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    let message = EchoRequest {
        payload: Bytes::from(vec![7; PAYLOAD]),
        ..EchoRequest::default()
    };
    let mut calls = JoinSet::new();
    let start = |calls: &mut JoinSet<_>| {
        let mut client = EchoClient::new(channel.clone());
        let request = Request::new(message.clone());
        calls.spawn(async move { client.unary(request).await.map(drop) });
    };
    // What the first call makes stays.
    start(&mut calls);
    settle().await;
    let before = ALLOCATOR.current_usage();
    for _ in 0..CALLS {
        start(&mut calls);
    }
    settle().await;
    settle().await;
    let held = ALLOCATOR.current_usage().saturating_sub(before) / CALLS;
    assert_eq!(calls.len(), CALLS + 1, "all wait");
    if let Some(readiness) = readiness {
        assert_eq!(readiness.snapshot().waiting, CALLS + 1);
    }
    held
}

// CONTRACT W7: what the documentation says that a waiting call takes
async fn a_waiting_call_holds_little() {
    let server = Server::in_memory_unstarted();
    server.set_dial_time(Duration::from_secs(7_200));
    let bare = held_by_each(&server.channel(), None).await;
    let layer = |readiness| {
        WaitForReadyLayer::new()
            .max_waiting(2 * CALLS)
            .readiness(readiness)
    };
    let readiness = Readiness::new();
    let alone = layer(&readiness).layer(server.channel());
    let alone = held_by_each(&alone, Some(&readiness)).await;
    // Whose timers are the deadlines of the calls.
    let readiness = Readiness::new();
    let stack = Resilience::new()
        .default_timeout(Duration::from_secs(3_600))
        .wait_for_ready(layer(&readiness));
    let stack = held_by_each(&stack.wrap(server.channel()), Some(&readiness)).await;
    eprintln!(
        "a call of {PAYLOAD} bytes that waits holds {bare} B in a bare channel's queue, {alone} B \
         under the layer, {stack} B under all of Resilience with a timeout"
    );
    assert!(alone <= 4 * 1024, "{alone}");
    assert!(stack <= 7 * 1024, "{stack}");
}

#[test]
fn a_waiting_call_holds_no_more_than_is_said_of_it() {
    alone(a_waiting_call_holds_little());
}
