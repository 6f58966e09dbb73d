//! What the wire sees of a live request whose attempt failed.

use bytes::Bytes;
use grpc_resilience::GiveUp;
use http::Request;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use peer::{Connection, Headers, Peer, Reason, Step, Stream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::body::Body;

use super::super::support::{channel, others_have_run, request};
use super::{BACKOFF, Client, declared, numbers, policy, status_of};

/// A request whose frames the test sends one by one.
fn live() -> (mpsc::Sender<Bytes>, Request<Body>) {
    let (sender, receiver) = mpsc::channel(8);
    let frames = ReceiverStream::new(receiver).map(|data| Ok::<_, Status>(Frame::data(data)));
    let body: UnsyncBoxBody<Bytes, Status> = StreamBody::new(frames).boxed_unsync();
    (sender, declared(request().map(|_| Body::new(body))))
}

/// UNAVAILABLE at once, without a word on the rest of the request.
fn early_failure() -> Stream {
    Stream::from([Step::Headers(Headers::trailers_only(14))])
}

// CONTRACT B5, R9, R13; PEER-CASES JAVA-cancel-while-draining
#[transports::test(start_paused = true)]
async fn an_attempt_that_failed_early_is_reset_and_never_looks_complete() {
    let answered = Stream::from([
        Step::AwaitRequest,
        Step::Headers(Headers::response()),
        Step::Headers(Headers::trailers(0)),
    ]);
    let peer = Peer::start([Connection::new().streams([early_failure(), answered])]).await;
    let client = Client::new(channel(&peer), policy(4));
    let (sender, request) = live();
    sender.send(Bytes::from_static(b"one")).await.unwrap();
    let call = tokio::spawn(async move { (client.send(request).await, client) });
    peer.wait_for_resets(1).await;
    peer.wait_for_streams(2).await;
    sender.send(Bytes::from_static(b"two")).await.unwrap();
    drop(sender);
    let (answer, client) = call.await.unwrap();
    assert_eq!(status_of(answer).await, "0");
    assert_eq!(client.previous(), numbers([0, 1]));
    let [first, second] = &peer.streams_seen()[..] else {
        panic!("two streams")
    };
    assert!(!first.complete, "a truncated request looks complete");
    assert_eq!(second.body, b"onetwo");
    assert!(second.complete);
    let resets = peer.resets_received();
    assert_eq!(resets[0].stream, first.id);
    assert_eq!(resets[0].reason, Reason::CANCEL);
}

// CONTRACT R13; PEER-CASES JAVA-cancel-while-backoff, CORE-unref
#[transports::test(start_paused = true)]
async fn a_live_call_dropped_in_its_backoff_sends_nothing_more_and_lets_go_of_its_stream() {
    let peer = Peer::start([Connection::new().other_streams(early_failure())]).await;
    let client = Client::new(channel(&peer), policy(4));
    let (sender, request) = live();
    sender.send(Bytes::from_static(b"one")).await.unwrap();
    let call = tokio::spawn(async move { client.send(request).await });
    peer.wait_for_resets(1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    timeout(BACKOFF / 2, sender.closed()).await.unwrap();
    tokio::time::sleep(4 * BACKOFF).await;
    others_have_run().await;
    assert_eq!(peer.streams_seen().len(), 1);
}

// CONTRACT R8, X4
#[transports::test(start_paused = true)]
async fn a_refused_stream_whose_request_outgrew_the_buffer_is_not_sent_again() {
    let refused = Stream::from([Step::AwaitRequest, Step::Reset(Reason::REFUSED_STREAM)]);
    let peer = Peer::start([Connection::new().other_streams(refused)]).await;
    let client = Client::new(channel(&peer), policy(4));
    let (sender, request) = live();
    for _ in 0..5 {
        let chunk = Bytes::from(vec![7; 60 * 1024]);
        sender.send(chunk).await.unwrap();
    }
    drop(sender);
    let error = client.send(request).await.unwrap_err();
    assert_eq!(error.give_up(), Some(GiveUp::BodyTooLarge));
    assert_eq!(client.sent().len(), 1);
    assert_eq!(peer.streams_seen()[0].body.len(), 5 * 60 * 1024);
}

// CONTRACT R9; PEER-CASES NET-replay-after-partial-write
#[transports::test(start_paused = true)]
async fn a_message_half_written_as_the_connection_died_is_replayed_whole() {
    let dies = Stream::from([Step::Settle, Step::Abort]);
    let answers = Stream::from([
        Step::AwaitRequest,
        Step::Headers(Headers::response()),
        Step::Headers(Headers::trailers(0)),
    ]);
    let peer = Peer::start([
        Connection::new().stream_window(10).streams([dies]),
        Connection::new().streams([answers]),
    ])
    .await;
    let client = Client::new(channel(&peer), policy(4));
    let (sender, request) = live();
    // More than the 65,535 bytes for which HTTP/2 needs no leave.
    let message = vec![7; 100_000];
    sender.send(Bytes::from(message.clone())).await.unwrap();
    drop(sender);
    let answer = client.send(request).await;
    assert_eq!(status_of(answer).await, "0");
    let [first, second] = &peer.streams_seen()[..] else {
        panic!("two streams")
    };
    assert!(first.body.len() < message.len() && !first.complete);
    assert!(second.body == message && second.complete);
    assert_eq!(client.previous(), numbers([0, 1]));
}
