//! What becomes of one call's request does nothing to another's.

use std::convert::Infallible;

use bytes::Bytes;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::{DeadlineLayer, RetryLayer};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use peer::{Connection, Headers, Peer, Step, Stream};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tower::{ServiceBuilder, ServiceExt as _};

use super::super::support::{channel, request};
use super::{SECOND, policy};

/// A declared request whose frames the test sends one by one.
fn live() -> (mpsc::Sender<Bytes>, Request<Body>) {
    let (sender, receiver) = mpsc::channel(8);
    let frames = ReceiverStream::new(receiver).map(|data| Ok::<_, Infallible>(Frame::data(data)));
    let mut request = request().map(|_| Body::new(StreamBody::new(frames)));
    request.call_options().idempotent();
    (sender, request)
}

// CONTRACT R13: a request ends with its own call. The retry layer looks at a live one before it
// sends it again, on the thread on which another call may begin next
#[transports::test(start_paused = true)]
async fn a_call_is_not_cut_off_because_a_live_one_was_sent_again_and_is_over() {
    let fails_early = Stream::from([Step::Headers(Headers::trailers_only(14))]);
    let streams = [fails_early, Stream::stall(), Stream::ok(b"")];
    let peer = Peer::start([Connection::new().streams(streams)]).await;
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(60 * SECOND))
        .layer(RetryLayer::new(policy()))
        .service(channel(&peer));
    let (_sender, request_of_the_first) = live();
    let first = tokio::spawn(stack.clone().oneshot(request_of_the_first));
    peer.wait_for_streams(2).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());

    let second = stack.oneshot(request()).await;
    assert!(second.is_ok(), "{:?}", second.err());
}
