//! Calls in tasks of their own, and calls that are polled by hand.

use std::pin::Pin;
use std::task::Poll;

use test_protos::{EchoClient, EchoRequest, EchoResponse};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::stacks::{Stack, client};

/// A unary call, in a task of its own.
pub(crate) fn spawn<T: Stack>(
    stack: &T,
    request: Request<EchoRequest>,
) -> JoinHandle<Result<Response<EchoResponse>, Status>> {
    let mut client = client(stack.clone());
    tokio::spawn(async move { client.unary(request).await })
}

/// A bidi call: its caller's end, and the answers.
pub(crate) async fn bidi<T: Stack>(
    client: &mut EchoClient<T>,
) -> (mpsc::Sender<EchoRequest>, Streaming<EchoResponse>) {
    let (send, receive) = mpsc::channel(1);
    let answers = client.bidi_stream(ReceiverStream::new(receive)).await;
    (send, answers.unwrap().into_inner())
}

/// Polls a call once that is not done yet, as an owner does who then looks elsewhere.
pub(crate) async fn poll_once<F: Future>(call: &mut Pin<Box<F>>) {
    let done = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
    assert!(!done);
}
