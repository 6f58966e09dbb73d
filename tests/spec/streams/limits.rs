//! What of a live stream is kept for another attempt, and what is not. CONTRACT R6 to R8.

use grpc_resilience::GiveUp;
use grpc_resilience::retry::{Retry, RetryLayer};
use test_protos::{EchoClient, EchoRequest};
use testing::{Answer, Outcome, Server, method};
use tokio::time::{sleep, timeout};
use tonic::Code;
use tower::Layer as _;
use transports::Channel;

use super::{arrived, live, text, texts};
use crate::support::{declared, ms, policy, previous_attempts, unavailable, undeclared};

fn layer() -> RetryLayer {
    RetryLayer::new(policy())
}

fn client(server: &Server, layer: &RetryLayer) -> EchoClient<Retry<Channel>> {
    EchoClient::new(layer.layer(server.channel()))
}

/// A request of so many bytes, and a few.
fn sized(bytes: usize) -> EchoRequest {
    text(&"x".repeat(bytes))
}

// PEER-CASES GO-overflow, NET-large-stream; CONTRACT R8
#[transports::test(start_paused = true)]
async fn a_message_over_the_limit_arrives_and_is_not_sent_again() {
    let server = Server::in_memory();
    let answer = unavailable("down").reading_messages(1);
    server.script().otherwise(answer);
    let mut client = client(&server, &layer().replay_limit(200));
    let (sender, request) = live(1);
    sender.send(sized(500)).await.unwrap();
    let status = client.bidi_stream(request).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "down")
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::BodyTooLarge));
    sleep(ms(60_000)).await;
    let calls = server.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].messages().len(), 1);
    assert!(calls[0].request.len() > 500);
}

// PEER-CASES JAVA-per-rpc-limit, CORE-exceeds-buffer in a later batch; CONTRACT R8
#[transports::test(start_paused = true)]
async fn the_limit_of_a_call_is_for_all_its_messages_together() {
    for (messages, attempts, reason) in [
        (2, 4, GiveUp::AttemptsExhausted),
        (3, 1, GiveUp::BodyTooLarge),
    ] {
        let server = Server::in_memory();
        let answer = unavailable("down").reading_messages(messages);
        server.script().otherwise(answer);
        let mut client = client(&server, &layer().replay_limit(200));
        let (sender, request) = live(1);
        let caller = async {
            for sent in 0..messages {
                arrived(&server, 0, sent).await;
                sender.send(sized(80)).await.unwrap();
            }
        };
        let (answer, ()) = tokio::join!(client.bidi_stream(request), caller);
        assert_eq!(GiveUp::find(&answer.unwrap_err()), Some(reason));
        let calls = server.calls();
        assert_eq!(calls.len(), attempts);
        assert!(calls.iter().all(|call| call.messages().len() == messages));
        drop(sender);
    }
}

// PEER-CASES JAVA-channel-limit; CONTRACT R8
#[transports::test(start_paused = true)]
async fn a_call_that_finds_the_channel_s_buffer_full_is_sent_once_until_others_end() {
    let server = Server::in_memory();
    let down = || unavailable("down").reading_messages(1);
    server
        .script()
        .on(method::CLIENT_STREAM, [Answer::hang().reading_messages(1)]);
    server.script().otherwise(down());
    let client = client(&server, &layer().replay_buffer(1_000));
    let (first, request) = live(1);
    first.send(sized(600)).await.unwrap();
    let mut holder = client.clone();
    let holder = tokio::spawn(async move { holder.client_stream(request).await });
    arrived(&server, 0, 1).await;
    let outcome = async || {
        let mut reasons = Vec::new();
        server.clear();
        let (sender, request) = live(1);
        sender.send(sized(500)).await.unwrap();
        reasons.push(client.clone().bidi_stream(request).await.unwrap_err());
        let mut one = declared();
        *one.get_mut() = sized(500);
        reasons.push(client.clone().unary(one).await.unwrap_err());
        let reasons: Vec<_> = reasons.iter().map(|it| GiveUp::find(it)).collect();
        let counts = [method::BIDI_STREAM, method::UNARY].map(|it| server.calls_to(it).len());
        (reasons, counts)
    };
    let full = Some(GiveUp::ReplayBufferFull);
    assert_eq!(outcome().await, (vec![full; 2], [1, 1]));

    // The count returns to what it was when the call ends.
    holder.abort();
    timeout(ms(1_000), first.closed()).await.unwrap();
    let spent = Some(GiveUp::AttemptsExhausted);
    for _ in 0..2 {
        assert_eq!(outcome().await, (vec![spent; 2], [4, 4]));
    }
}

// CONTRACT R8a
#[transports::test(start_paused = true)]
async fn what_live_requests_hold_that_wait_for_long_is_bounded() {
    let server = Server::in_memory();
    let sent_away = unavailable("later").reading_messages(1).pushback("60000");
    server
        .script()
        .on(method::CLIENT_STREAM, vec![sent_away; 2]);
    let client = client(&server, &layer().replay_buffer(1_000));
    let call = async |number: usize| {
        let (sender, request) = live(1);
        sender.send(sized(300)).await.unwrap();
        let mut client = client.clone();
        let call = tokio::spawn(async move { client.client_stream(request).await });
        arrived(&server, number, 1).await;
        (sender, call)
    };
    let (first, waiting) = call(0).await;
    let (_second, other) = call(1).await;
    let status = other.await.unwrap().unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::ReplayBufferFull));
    drop(first);
    waiting.await.unwrap().unwrap();
}

// CONTRACT R7; PEER-CASES CORE-streaming-after-commit, NET-large-stream
#[transports::test(start_paused = true)]
async fn a_long_stream_over_the_buffer_goes_on_and_leaves_the_room_to_others() {
    let server = Server::in_memory();
    let first = unavailable("down").reading_messages(1);
    server.script().on(method::BIDI_STREAM, [first]);
    let client = client(&server, &layer().replay_limit(1_000).replay_buffer(1_000));
    let (sender, request) = live(1);
    sender.send(sized(800)).await.unwrap();
    let answers = client.clone().bidi_stream(request).await.unwrap();
    let mut answers = answers.into_inner();
    let replayed = answers.message().await.unwrap().unwrap();
    assert_eq!(replayed.text.len(), 800);
    assert_eq!(server.count(), 2);
    // The first of them would fit, the others would not.
    for index in 1..=200 {
        let size = if index == 1 { 850 } else { 16_000 };
        sender.send(sized(size)).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!((answer.text.len(), answer.index), (size, index));
        if index > 2 {
            continue;
        }
        // It holds nothing: a call that needs all the room is retried beside it.
        server.clear();
        server.script().on(method::UNARY, [unavailable("down")]);
        let mut other = declared();
        *other.get_mut() = sized(980);
        client.clone().unary(other).await.unwrap();
        assert_eq!(server.count(), 2);
    }
    drop(sender);
    assert!(answers.message().await.unwrap().is_none());
}

// CONTRACT R7, R8: what outgrew the buffer before any answer goes on all the same
#[transports::test(start_paused = true)]
async fn a_stream_that_outgrew_its_limit_before_an_answer_is_heard_to_its_end() {
    let server = Server::in_memory();
    let mut client = client(&server, &layer().replay_limit(200));
    let (sender, request) = live(1);
    let caller = async {
        for count in 0..50 {
            arrived(&server, 0, count).await;
            sender.send(sized(90)).await.unwrap();
        }
        drop(sender);
    };
    let (answer, ()) = tokio::join!(client.client_stream(request), caller);
    assert_eq!(answer.unwrap().get_ref().text, "x".repeat(50 * 90));
    assert_eq!(server.count(), 1);
}

// PEER-CASES JAVA-headers-then-closed; CONTRACT R7, R9
#[transports::test(start_paused = true)]
async fn after_the_head_messages_and_the_end_go_to_that_attempt_alone() {
    let server = Server::in_memory();
    let down = || unavailable("down").reading_messages(1);
    server.script().on(method::BIDI_STREAM, [down(), down()]);
    let mut client = client(&server, &layer());
    let (sender, request) = live(1);
    sender.send(text("1")).await.unwrap();
    let mut answers = client.bidi_stream(request).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().text, "1");
    sender.send(text("2")).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().text, "2");
    assert!(!server.calls()[2].request_ended);
    drop(sender);
    assert!(answers.message().await.unwrap().is_none());
    let calls = server.calls();
    assert_eq!(previous_attempts(&calls), [None, Some("1"), Some("2")]);
    let heard: Vec<_> = calls.iter().map(texts).collect();
    assert_eq!(heard, [vec!["1"], vec!["1"], vec!["1", "2"]]);
    let ended: Vec<_> = calls.iter().map(|call| call.request_ended).collect();
    assert_eq!(ended, [false, false, true]);
    assert_eq!(calls[2].outcome, Outcome::Finished);
}

// CONTRACT R8, I1: what was not read by any attempt can be sent, whatever its size
// Over tonic alone: each attempt dials; over ours the channel dials, at times of its own (C3).
#[tokio::test(start_paused = true)]
async fn a_large_request_whose_connect_failed_is_retried() {
    let server = Server::in_memory_unstarted();
    let mut client = client(&server, &layer().replay_limit(200).replay_buffer(200));
    let mut request = undeclared();
    request.get_mut().payload = vec![7; 500].into();
    let start = async {
        sleep(ms(25)).await;
        server.start().await;
    };
    let (answer, ()) = tokio::join!(client.unary(request), start);
    assert_eq!(answer.unwrap().get_ref().payload, vec![7; 500]);
    assert_eq!(server.dials(), 4);
    assert_eq!(previous_attempts(&server.calls()), [Some("3")]);
}

// CONTRACT X2, X4: through the raw peer, for no server refuses a stream on demand
#[transports::test]
async fn a_refused_stream_is_sent_again_only_if_it_is_kept() {
    use peer::{Connection, Peer, Reason, Stream};

    for (bytes, is_ok, streams) in [(100, true, 2), (500, false, 1)] {
        let refusing = Stream::reset(Reason::REFUSED_STREAM);
        let peer = Peer::start([Connection::new().streams([refusing])]).await;
        let layer = layer().replay_limit(200);
        let mut client = EchoClient::new(layer.layer(Channel::to(peer.uri())));
        let (sender, request) = live(1);
        sender.send(sized(bytes)).await.unwrap();
        let end = async {
            sleep(ms(20)).await;
            drop(sender);
        };
        let (answer, ()) = tokio::join!(client.client_stream(request), end);
        assert_eq!(answer.is_ok(), is_ok, "{answer:?}");
        if let Err(status) = answer {
            assert_eq!(status.code(), Code::Unavailable);
            assert_eq!(GiveUp::find(&status), Some(GiveUp::BodyTooLarge));
        }
        assert_eq!(peer.streams_seen().len(), streams);
    }
}
