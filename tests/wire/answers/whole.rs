//! Answers whose head has the status, on a connection that is lost then.

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use peer::{Headers, Peer, Step, Stream};
use tokio::sync::mpsc::{Sender, channel as messages};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::super::support::{channel, request};
use super::{frames, under_each_layer};

/// A stream of requests, which is open until its other end is dropped.
fn open_request() -> (Sender<Bytes>, Request<Body>) {
    let (sender, receiver) = messages(1);
    let frames = ReceiverStream::new(receiver).map(|data| Ok::<_, Status>(Frame::data(data)));
    let (parts, _) = request().into_parts();
    let body = Body::new(StreamBody::new(frames));
    (sender, Request::from_parts(parts, body))
}

/// Answers with OK in the head before the request is complete, and closes the connection at once:
/// the client reads both before its caller sees the answer.
fn ok_then_closed() -> Stream {
    let ok = Headers::trailers_only(0);
    Stream::from([Step::Headers(ok), Step::Close])
}

// FIELD 3: h2 fails the body, though nothing of the answer is missing.
#[transports::test]
async fn the_channel_shows_a_failed_body_behind_a_status_in_the_head() {
    let peer = Peer::answering(ok_then_closed()).await;
    let channel = channel(&peer);
    let (_open, request) = open_request();
    let answer = channel.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "0");
    assert!(frames(answer.into_body()).await.2.is_some());
}

// CONTRACT H7
#[transports::test]
async fn a_call_that_said_ok_in_its_head_has_succeeded_though_the_connection_is_lost_then() {
    let peer = Peer::answering(ok_then_closed()).await;
    under_each_layer!(&peer, |service| {
        let (_open, request) = open_request();
        let answer = service.oneshot(request).await.unwrap();
        let failed = frames(answer.into_body()).await.2;
        assert!(failed.is_none(), "{failed:?}");
    });
}
