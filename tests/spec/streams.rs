//! When an answer commits a call, and what becomes of streams. CONTRACT R6 to R9, B.

mod commit;
mod ends;
mod limits;
mod live;
mod replay;
mod replay_under_way;
mod sent_once;

use grpc_resilience::call::CallOptionsExt;
use test_protos::{EchoRequest, EchoResponse};
use testing::{Call, Server};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

/// The indices that a stream of answers held, and how it ended.
async fn indices(mut answers: Streaming<EchoResponse>) -> (Vec<u32>, Option<Status>) {
    let mut seen = Vec::new();
    loop {
        match answers.message().await {
            Ok(Some(answer)) => seen.push(answer.index),
            Ok(None) => return (seen, None),
            Err(status) => return (seen, Some(status)),
        }
    }
}

fn text(text: &str) -> EchoRequest {
    EchoRequest {
        text: text.to_owned(),
        ..EchoRequest::default()
    }
}

/// A stream of requests that is declared idempotent, and its caller's end.
fn live(
    capacity: usize,
) -> (
    mpsc::Sender<EchoRequest>,
    Request<ReceiverStream<EchoRequest>>,
) {
    let (sender, receiver) = mpsc::channel(capacity);
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.call_options().idempotent();
    (sender, request)
}

/// The texts of the messages that arrived, if they held nothing else.
fn texts(call: &Call) -> Vec<String> {
    let text = |message: &bytes::Bytes| String::from_utf8_lossy(&message[2..]).into_owned();
    call.messages().iter().map(text).collect()
}

/// Waits until a call, counted from 0, has come and so many of its messages were read.
async fn arrived(server: &Server, call: usize, messages: usize) {
    let there = |calls: &[Call]| {
        calls
            .get(call)
            .is_some_and(|it| it.messages().len() >= messages)
    };
    tokio::time::timeout(crate::support::ms(60_000), server.wait_until(there))
        .await
        .expect("the messages arrive");
}
