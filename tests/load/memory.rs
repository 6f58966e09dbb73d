//! What requests that are kept for another attempt hold of memory.

mod server;

use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::{BoxError, GiveUp};
use test_protos::{EchoClient, EchoRequest};
use testing::{Server, settle};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::{Code, Request};
use tower::Layer as _;

use super::ALLOCATOR;
use super::support::{Messages, alone, policy};

use server::Gate;

const MIB: usize = 1024 * 1024;
const BUFFER: usize = 8 * MIB;
const MINUTE: Duration = Duration::from_secs(60);
/// Between the calls of one measurement and the next the connection's own tables may grow a little.
const SLACK: usize = 256 * 1024;

/// Calls, and how the request of each is cut into messages.
#[derive(Clone)]
struct Shape {
    calls: usize,
    messages: usize,
    message: EchoRequest,
}

impl Shape {
    fn new(calls: usize, messages: usize, payload: usize) -> Self {
        Self {
            calls,
            messages,
            message: EchoRequest {
                payload: Bytes::from(vec![7; payload]),
                ..EchoRequest::default()
            },
        }
    }

    fn request(&self) -> Request<Messages> {
        let mut request = Request::new(Messages::new(self.message.clone(), self.messages));
        request.call_options().idempotent();
        request
    }

    /// The payload of a whole request.
    fn len(&self) -> usize {
        self.message.payload.len() * self.messages
    }
}

/// How one call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With so many bytes.
    Answered(usize),
    Failed(Code, Option<GiveUp>),
}

/// Starts all calls and lets the server read them only when it has all of them.
async fn start<T>(server: &Server, gate: &Gate, channel: T, shape: &Shape) -> JoinSet<End>
where
    T: GrpcService<Body, Future: Send> + Clone + Send + 'static,
    T::Error: Into<BoxError> + Send,
    T::ResponseBody: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    gate.close();
    let mut calls = JoinSet::new();
    for _ in 0..shape.calls {
        let mut client = EchoClient::new(channel.clone());
        let request = shape.request();
        calls.spawn(async move {
            match client.client_stream(request).await {
                Ok(answer) => End::Answered(answer.get_ref().payload.len()),
                Err(status) => End::Failed(status.code(), GiveUp::find(&status)),
            }
        });
    }
    while server.count() < shape.calls {
        settle().await;
    }
    // The log of a call that is cleared away writes nothing more down.
    server.clear();
    gate.open();
    calls
}

/// The calls that ended a minute later; no wait of the server or the channel is as long.
async fn ended(calls: &mut JoinSet<End>) -> Vec<End> {
    sleep(MINUTE).await;
    std::iter::from_fn(|| calls.try_join_next())
        .map(Result::unwrap)
        .collect()
}

async fn holds_no_more_than_the_buffer(shape: Shape) {
    let gate = Gate::default();
    let server = server::fails_first_attempts(&gate);
    let channel = server.channel();
    let failed = End::Failed(Code::Unavailable, None);

    // The same load without the layer, for what the connection keeps of it.
    let mut calls = start(&server, &gate, channel.clone(), &shape).await;
    assert_eq!(ended(&mut calls).await, vec![failed; shape.calls]);
    drop(calls);
    let baseline = ALLOCATOR.current_usage();

    let layer = RetryLayer::new(policy(60 * MINUTE))
        .replay_limit(2 * MIB)
        .replay_buffer(BUFFER);
    let retrying = layer.layer(channel);
    let mut calls = start(&server, &gate, retrying, &shape).await;
    let committed = ended(&mut calls).await;
    let held = ALLOCATOR.current_usage() - baseline;
    let waiting = calls.len();
    let full = End::Failed(Code::Unavailable, Some(GiveUp::ReplayBufferFull));
    eprintln!(
        "{} x {} B: {waiting} calls hold {held} B, {} % of what they sent; {} committed",
        shape.messages,
        shape.message.payload.len(),
        held * 100 / (waiting * shape.len()),
        committed.len(),
    );
    assert!(committed.iter().all(|end| *end == full), "{committed:?}");
    assert!(waiting > 0);
    assert!(held <= BUFFER + BUFFER / 10, "{held}");

    // The end of the backoff.
    while let Some(end) = calls.join_next().await {
        assert_eq!(end.unwrap(), End::Answered(shape.len()));
    }
    drop((calls, committed));
    server.clear();
    sleep(MINUTE).await;
    let left = ALLOCATOR.current_usage().saturating_sub(baseline);
    eprintln!("left: {left} B");
    assert!(left <= SLACK, "{left}");
}

// CONTRACT R7, R8
#[test]
fn streams_of_many_messages_hold_no_more_than_the_replay_buffer() {
    alone(holds_no_more_than_the_buffer(Shape::new(
        1_000,
        16,
        64 * 1024,
    )));
}

// CONTRACT R7, R8
#[test]
fn streams_of_one_large_message_hold_no_more_than_the_replay_buffer() {
    alone(holds_no_more_than_the_buffer(Shape::new(1_000, 1, MIB)));
}

// CONTRACT R8: of the 8 KiB that an encoder allocates, such a message uses half
#[test]
fn messages_hold_no_more_than_their_length_of_an_encoder_s_buffer() {
    alone(holds_no_more_than_the_buffer(Shape::new(100, 248, 4_200)));
}

// CONTRACT R8: an encoder doubles its buffer for the few bytes after a large field
#[test]
fn messages_hold_no_more_than_their_length_of_a_buffer_that_grew() {
    let mut shape = Shape::new(100, 1, MIB);
    shape.message.text = "a few bytes more".to_owned();
    alone(holds_no_more_than_the_buffer(shape));
}
