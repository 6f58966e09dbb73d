//! Request streams: they flow as without the layer, and are retried as other calls are.

use std::pin::Pin;

use grpc_resilience::GiveUp;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::idempotency::IdempotencyLayer;
use grpc_resilience::retry::RetryLayer;
use test_protos::{EchoClient, EchoRequest};
use testing::{Answer, Outcome, Server, method};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request};
use tower::ServiceBuilder;

use super::{live, text, texts};
use crate::support::{declared, ms, policy, previous_attempts, retrying, unavailable};

const METHODS: [&str; 4] = [
    method::UNARY,
    method::SERVER_STREAM,
    method::CLIENT_STREAM,
    method::BIDI_STREAM,
];

// CONTRACT B4
#[transports::test(start_paused = true)]
async fn a_bidi_call_makes_progress_message_by_message() {
    let server = Server::in_memory();
    let mut client = retrying(&server, policy());
    let (sender, request) = live(1);
    let call = async {
        // The first message goes only once the answer has begun.
        let mut answers = client.bidi_stream(request).await.unwrap().into_inner();
        for (index, word) in ["a", "b", "c"].into_iter().enumerate() {
            sender.send(text(word)).await.unwrap();
            let answer = answers.message().await.unwrap().unwrap();
            assert_eq!(answer.text, word);
            assert_eq!(usize::try_from(answer.index).unwrap(), index);
        }
        drop(sender);
        assert!(answers.message().await.unwrap().is_none());
    };
    timeout(ms(60_000), call).await.expect("no deadlock");
    assert_eq!(server.calls()[0].messages().len(), 3);
}

// CONTRACT B4
#[transports::test(start_paused = true)]
async fn a_client_stream_makes_progress_message_by_message() {
    let server = Server::in_memory();
    let mut client = retrying(&server, policy());
    let (sender, request) = live(1);
    let call = tokio::spawn(async move { client.client_stream(request).await });
    for count in 1..=3 {
        sender.send(text("x")).await.unwrap();
        let arrived = server.wait_until(|calls| {
            calls
                .first()
                .is_some_and(|call| call.messages().len() == count)
        });
        timeout(ms(1_000), arrived)
            .await
            .expect("the message goes at once");
    }
    drop(sender);
    assert_eq!(call.await.unwrap().unwrap().get_ref().text, "xxx");
    assert_eq!(server.count(), 1);
}

// CONTRACT R3, R6, R9; PEER-CASES GO-stream-one
#[transports::test(start_paused = true)]
async fn a_live_stream_that_is_declared_is_retried_and_replayed() {
    for (answer, kind) in [
        (unavailable("down"), None),
        (unavailable("down").reading_messages(1), None),
        (
            Answer::status_in_trailers(Code::Unavailable, "down").reading_messages(1),
            Some(MethodKind::ClientStreaming),
        ),
    ] {
        let server = Server::in_memory();
        server.script().on(method::CLIENT_STREAM, [answer]);
        let mut client = retrying(&server, policy());
        let (sender, mut request) = live(16);
        if let Some(kind) = kind {
            request.call_options().kind(kind);
        }
        for word in ["a", "b"] {
            sender.send(text(word)).await.unwrap();
        }
        let close = async {
            server.wait_for_calls(2).await;
            drop(sender);
        };
        let (answer, ()) = tokio::join!(client.client_stream(request), close);
        assert_eq!(answer.unwrap().get_ref().text, "ab");
        let calls = server.calls();
        assert_eq!(previous_attempts(&calls), [None, Some("1")]);
        assert_eq!(texts(&calls[1]), ["a", "b"]);
    }
}

// CONTRACT R6, I3, B5: one attempt, whose failure comes as it is
#[transports::test(start_paused = true)]
async fn a_live_stream_that_may_not_be_repeated_is_sent_once_and_its_failure_comes_as_it_is() {
    let in_trailers = Answer::status_in_trailers(Code::Unavailable, "down");
    for (declared, answer, reason) in [
        (false, unavailable("down"), GiveUp::NotIdempotent),
        (
            false,
            unavailable("down").reading_messages(1),
            GiveUp::NotIdempotent,
        ),
        // Nobody said that the method answers once.
        (true, in_trailers, GiveUp::Committed),
    ] {
        let server = Server::in_memory();
        server.script().otherwise(answer.metadata("x-zone", "b"));
        let mut client = retrying(&server, policy());
        let (sender, receiver) = mpsc::channel(1);
        sender.send(text("one")).await.unwrap();
        let mut request = Request::new(ReceiverStream::new(receiver));
        if declared {
            request.call_options().idempotent();
        }
        let status = client.client_stream(request).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "down")
        );
        assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
        assert_eq!(GiveUp::find(&status), Some(reason));
        assert_eq!(previous_attempts(&server.calls()), [None]);
        timeout(ms(1_000), sender.closed())
            .await
            .expect("the stream goes with its call");
    }
}

/// What the server sees of a live bidi call whose caller goes away before the head, after it, and after its own
/// last message.
macro_rules! dropped {
    ($client:expr, $server:expr) => {{
        let mut outcomes = Vec::new();
        for (answer, ends) in [
            (Answer::hang(), false),
            (Answer::hang_after_head(), false),
            (Answer::hang_after_head(), true),
        ] {
            let (server, mut client) = ($server, $client);
            server.clear();
            server.script().on(method::BIDI_STREAM, [answer]);
            let (sender, request) = live(1);
            let answers = timeout(ms(500), client.bidi_stream(request)).await;
            let sender = (!ends).then_some(sender);
            tokio::time::sleep(ms(1)).await;
            drop(answers);
            tokio::time::sleep(ms(1_000)).await;
            let call = server.calls().remove(0);
            outcomes.push((
                call.outcome,
                sender.is_some_and(|sender| sender.is_closed()),
            ));
        }
        outcomes
    }};
}

// CONTRACT B5
#[transports::test(start_paused = true)]
async fn a_bidi_call_that_is_dropped_has_the_effect_it_has_without_the_layer() {
    let server = &Server::in_memory();
    let plain = dropped!(EchoClient::new(server.channel()), server);
    let layered = dropped!(retrying(server, policy()), server);
    assert_eq!(layered, plain);
    assert_eq!(layered[2].0, Outcome::Cancelled);
}

// CONTRACT R9; PEER-CASES GO-stream-multi, GO-replay-close
#[transports::test(start_paused = true)]
async fn a_stream_that_is_complete_at_once_is_replayed_whole() {
    let server = Server::in_memory();
    let answer = unavailable("down").reading_request();
    server.script().on(method::BIDI_STREAM, [answer]);
    let mut client = retrying(&server, policy());
    let mut request = Request::new(tokio_stream::iter([text("a"), text("b")]));
    request.call_options().idempotent();
    let mut answers = client.bidi_stream(request).await.unwrap().into_inner();
    for word in ["a", "b"] {
        assert_eq!(answers.message().await.unwrap().unwrap().text, word);
    }
    assert!(answers.message().await.unwrap().is_none());
    let calls = server.calls();
    assert_eq!(previous_attempts(&calls), [None, Some("1")]);
    for call in &calls {
        assert_eq!(call.messages().len(), 2);
        assert!(call.request_ended);
        assert_eq!(call.request, calls[0].request);
    }
}

// CONTRACT R15; PEER-CASES CORE-send-op-fails: the request fails by itself
// Over tonic alone: over ours the head may leave before the message fails.
#[tokio::test(start_paused = true)]
async fn a_message_that_the_client_can_not_send_fails_as_without_the_layer() {
    let server = Server::in_memory();
    let request = || {
        let mut request = declared();
        request.get_mut().payload = vec![7; 100].into();
        request.call_options().retry_on(Code::OutOfRange);
        request
    };
    let plain = EchoClient::new(server.channel()).max_encoding_message_size(50);
    let plain = plain.clone().unary(request()).await.unwrap_err();
    let sent = server.count();
    server.clear();
    let layered = retrying(&server, policy()).max_encoding_message_size(50);
    let layered = layered.clone().unary(request()).await.unwrap_err();
    assert_eq!(layered.code(), plain.code());
    assert_eq!(server.count(), sent);
}

// CONTRACT R3, I2: a call of any kind is retried if it is declared, and only then
#[transports::test(start_paused = true)]
async fn a_call_is_retried_as_it_is_declared_whatever_its_kind() {
    for (declared, attempts, reason) in [
        (true, 4, GiveUp::AttemptsExhausted),
        (false, 1, GiveUp::NotIdempotent),
    ] {
        for complete in [true, false] {
            let server = Server::in_memory();
            let answer = unavailable("down").reading_messages(1);
            server.script().otherwise(answer);
            let kinds = IdempotencyLayer::new()
                .kind("/*/Unary*", MethodKind::Unary)
                .and_then(|it| it.kind("/*/Server*", MethodKind::ServerStreaming))
                .and_then(|it| it.kind("/*/Client*", MethodKind::ClientStreaming))
                .and_then(|it| it.kind("/*/Bidi*", MethodKind::BidiStreaming));
            let mut kinds = kinds.unwrap();
            if declared {
                kinds = kinds.idempotent("/**").unwrap();
            }
            let channel = ServiceBuilder::new()
                .layer(kinds)
                .layer(RetryLayer::new(policy()))
                .service(server.channel());
            let mut client = EchoClient::new(channel);
            let requests = || {
                let first = tokio_stream::once(text("a"));
                let requests: Pin<Box<dyn Stream<Item = EchoRequest> + Send>> = if complete {
                    Box::pin(first)
                } else {
                    Box::pin(first.chain(tokio_stream::pending()))
                };
                requests
            };
            for status in [
                client.unary(text("a")).await.unwrap_err(),
                client.server_stream(text("a")).await.unwrap_err(),
                client.client_stream(requests()).await.unwrap_err(),
                client.bidi_stream(requests()).await.unwrap_err(),
            ] {
                assert_eq!(status.message(), "down");
                assert_eq!(GiveUp::find(&status), Some(reason));
            }
            for path in METHODS {
                let calls = server.calls_to(path);
                let all = [None, Some("1"), Some("2"), Some("3")];
                assert_eq!(previous_attempts(&calls), all[..attempts], "{path}");
                assert!(calls.iter().all(|call| texts(call) == ["a"]), "{path}");
            }
        }
    }
}
