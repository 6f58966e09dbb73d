//! Answers whose head has the status, on a connection that is lost then.

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use peer::{Gate, Headers, Step, Stream};
use tokio::sync::mpsc::{Sender, channel as messages};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::super::common::{channel, request};
use super::{answering, frames, under_each_layer};

/// A stream of requests, which is open until its other end is dropped.
fn open_request() -> (Sender<Bytes>, Request<Body>) {
    let (sender, receiver) = messages(1);
    let frames = ReceiverStream::new(receiver).map(|data| Ok::<_, Status>(Frame::data(data)));
    let (parts, _) = request().into_parts();
    let body = Body::new(StreamBody::new(frames));
    (sender, Request::from_parts(parts, body))
}

/// Answers with OK in the head before the request is complete; then the connection is reset.
fn ok_then_reset(reset: &Gate) -> Stream {
    let ok = Headers::trailers_only(0);
    Stream::from([Step::Headers(ok), Step::Gate(reset.clone()), Step::Abort])
}

// FIELD 3: nothing of the answer is missing.
#[tokio::test]
async fn the_channel_shows_a_whole_body_behind_a_status_in_the_head() {
    let reset = Gate::new();
    let peer = answering(ok_then_reset(&reset)).await;
    let (sender, request) = open_request();
    let answer = channel(&peer).oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "0");
    reset.open();
    sender.closed().await;
    assert!(frames(answer.into_body()).await.2.is_none());
}

// CONTRACT B1
#[tokio::test]
async fn a_call_that_said_ok_in_its_head_has_succeeded_though_the_connection_is_lost_then() {
    let reset = Gate::new();
    let peer = answering(ok_then_reset(&reset)).await;
    under_each_layer!(&peer, |service| {
        let (sender, request) = open_request();
        let answer = service.oneshot(request).await.unwrap();
        reset.open();
        sender.closed().await;
        assert!(frames(answer.into_body()).await.2.is_none());
    });
}
