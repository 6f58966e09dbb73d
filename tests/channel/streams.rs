//! Streams of messages, both ways.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_resilience::BoxError;
use grpc_resilience::channel::Channel;
use http_body::Body;
use http_body_util::BodyExt as _;
use peer::{Connection, Peer, Reason, Step, Stream};
use test_protos::{EchoClient, EchoRequest};
use tokio_stream::StreamExt as _;

use crate::common::net::Net;
use crate::common::*;

fn request_of(size: usize) -> EchoRequest {
    EchoRequest {
        payload: vec![7; size].into(),
        ..EchoRequest::default()
    }
}

async fn echo() -> (EchoClient<Channel>, Channel, crate::common::net::Host) {
    let net = Net::default();
    let host = net.serve("host");
    let channel = connected(net.builder()).await;
    let client = EchoClient::new(channel.clone())
        .max_decoding_message_size(64 << 20)
        .max_encoding_message_size(64 << 20);
    (client, channel, host)
}

#[tokio::test]
async fn all_kinds_of_methods_work_with_small_and_large_messages() {
    let (mut client, channel, _host) = echo().await;
    for size in [0, 10, 70_000, 3 << 20] {
        let answer = client.unary(request_of(size)).await.unwrap();
        assert_eq!(answer.into_inner().payload.len(), size);

        let request = EchoRequest {
            repeat: 5,
            ..request_of(size)
        };
        let mut answers = client.server_stream(request).await.unwrap().into_inner();
        for _ in 0..5 {
            assert_eq!(
                answers.message().await.unwrap().unwrap().payload.len(),
                size
            );
        }
        assert!(answers.message().await.unwrap().is_none());

        let requests = tokio_stream::iter((0..5).map(move |_| request_of(size)));
        let answer = client.client_stream(requests).await.unwrap();
        assert_eq!(answer.into_inner().payload.len(), 5 * size);

        let requests = tokio_stream::iter((0..5).map(move |_| request_of(size)));
        let answers = client.bidi_stream(requests).await.unwrap().into_inner();
        let sizes: Vec<_> = answers.map(|it| it.unwrap().payload.len()).collect().await;
        assert_eq!(sizes, [size; 5]);
    }
    until(|| in_flight(&channel) == 0).await;
}

// CONTRACT C9
#[tokio::test]
async fn a_bidirectional_stream_begins_before_its_first_message() {
    let (mut client, _channel, _host) = echo().await;
    let (sender, requests) = tokio::sync::mpsc::unbounded_channel();
    let requests = tokio_stream::wrappers::UnboundedReceiverStream::new(requests);
    let mut answers = client.bidi_stream(requests).await.unwrap().into_inner();
    for size in [1, 2, 3] {
        sender.send(request_of(size)).unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.payload.len(), size);
    }
    drop(sender);
    assert!(answers.message().await.unwrap().is_none());
}

// CONTRACT C9, B5
#[tokio::test]
async fn the_pump_of_a_request_ends_with_its_call() {
    let peer = Peer::start([Connection::new().streams([Stream::stall()])]).await;
    let channel = channel(&peer).await;
    let (sender, body) = streaming();
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { send(&channel, bidi(body)).await }
    });
    sender.send(message(b"one")).unwrap();
    peer.wait_for_streams(1).await;
    until(|| !peer.streams_seen()[0].body.is_empty()).await;
    call.abort();
    sender.closed().await;
    peer.wait_for_resets(1).await;
    assert_eq!(peer.resets_received()[0].reason, Reason::CANCEL);
    assert!(!peer.streams_seen()[0].complete, "it is never completed");
    until(|| in_flight(&channel) == 0).await;
    assert_eq!(peer.resets_received().len(), 1);
}

/// A body with these frames. Its first poll finds none yet.
struct Late(VecDeque<Result<Bytes, BoxError>>, bool);

impl Body for Late {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        if !std::mem::replace(&mut self.1, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.0.pop_front();
        Poll::Ready(next.map(|it| it.map(http_body::Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

// CONTRACT R13, B5
#[tokio::test]
async fn a_request_whose_body_fails_is_reset_with_the_reason_of_the_failure_or_cancelled() {
    let failure = h2::Error::from(h2::Reason::ENHANCE_YOUR_CALM);
    let deep: BoxError = tonic::Status::from_error(failure.into()).into();
    for (error, reason) in [
        ("it is gone".into(), Reason::CANCEL),
        (deep, Reason::ENHANCE_YOUR_CALM),
    ] {
        let peer = Peer::start([Connection::new().streams([Stream::stall()])]).await;
        let channel = channel(&peer).await;
        let body = Late([Ok(message(b"one")), Err(error)].into(), false);
        let call = tokio::spawn({
            let channel = channel.clone();
            async move { send(&channel, request_with(body)).await }
        });
        peer.wait_for_resets(1).await;
        assert_eq!(peer.resets_received()[0].reason, reason);
        assert!(!peer.streams_seen()[0].complete, "it is never completed");
        call.abort();
    }
}

// CONTRACT C9
#[tokio::test]
async fn a_request_ends_with_its_last_frame_even_if_that_is_empty() {
    for last in [&b""[..], b"rest"] {
        let peer = Peer::start([]).await;
        let channel = channel(&peer).await;
        let frames = [Ok(message(b"one")), Ok(Bytes::from_static(last))];
        let answer = send(&channel, request_with(Late(frames.into(), false))).await;
        assert_eq!(status(answer).await, 0);
        let seen = peer.streams_seen().remove(0);
        assert!(seen.complete);
        assert_eq!(seen.body, [&message(b"one")[..], last].concat());
        assert_eq!(peer.resets_received(), []);
    }
}

// CONTRACT C9
#[tokio::test]
async fn the_pump_ends_when_the_server_answers_early() {
    let stream = Stream::from([Step::Headers(peer::Headers::trailers_only(5))]);
    let peer = Peer::start([Connection::new().streams([stream])]).await;
    let channel = channel(&peer).await;
    let (sender, body) = streaming();
    let answer = send(&channel, bidi(body)).await;
    assert_eq!(status(answer).await, 5);
    sender.closed().await;
    until(|| in_flight(&channel) == 0).await;
}

// CONTRACT C9
#[tokio::test]
async fn frames_keep_their_order_within_small_windows() {
    let script = Connection::new().stream_window(100_000);
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    let (sender, body) = streaming();
    let frames: Vec<_> = (0..50_u8).map(|it| message(&[it; 1_000])).collect();
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { send(&channel, bidi(body)).await }
    });
    for (number, frame) in frames.iter().enumerate() {
        sender.send(frame.clone()).unwrap();
        if number % 7 == 0 {
            others_have_run().await;
        }
    }
    drop(sender);
    assert_eq!(status(call.await.unwrap()).await, 0);
    assert_eq!(
        Bytes::from(peer.streams_seen()[0].body.clone()),
        frames.concat()
    );
}

// CONTRACT C14
#[tokio::test]
async fn a_reader_that_stops_reading_stops_its_own_stream_only() {
    let (mut client, _channel, _host) = echo().await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        let request = EchoRequest {
            repeat: 1_000,
            ..request_of(1 << 20)
        };
        unread.push(client.server_stream(request).await.unwrap());
        for _ in 0..20 {
            tokio::time::sleep(MS).await;
            let answer = tokio::time::timeout(LONG, client.unary(request_of(10))).await;
            answer.expect("the connection goes on").unwrap();
        }
    }
    for answers in unread {
        let first = answers.into_inner().message().await.unwrap();
        assert_eq!(first.unwrap().payload.len(), 1 << 20);
    }
}

#[tokio::test]
async fn a_response_that_is_dropped_resets_its_stream() {
    let stream = Stream::from([
        Step::AwaitRequest,
        Step::Headers(peer::Headers::response()),
        Step::Stall,
    ]);
    let peer = Peer::start([Connection::new().streams([stream])]).await;
    let channel = channel(&peer).await;
    let mut answer = call(&channel).await.unwrap();
    let waits = tokio::time::timeout(10 * MS, answer.frame()).await;
    assert!(waits.is_err());
    assert_eq!(in_flight(&channel), 1);
    drop(answer);
    peer.wait_for_resets(1).await;
    until(|| in_flight(&channel) == 0).await;
}
