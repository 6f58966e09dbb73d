//! Requests that are live streams pass through; those that are complete are replayed.

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
use tonic::{Code, Request};
use tower::ServiceBuilder;

use crate::common::{declared, ms, policy, previous_attempts, retrying, unavailable};

fn text(text: &str) -> EchoRequest {
    EchoRequest {
        text: text.to_owned(),
        ..EchoRequest::default()
    }
}

fn live() -> (
    mpsc::Sender<EchoRequest>,
    Request<ReceiverStream<EchoRequest>>,
) {
    let (sender, receiver) = mpsc::channel(1);
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.call_options().idempotent();
    (sender, request)
}

// CONTRACT B4
#[tokio::test(start_paused = true)]
async fn a_bidi_call_makes_progress_message_by_message() {
    let server = Server::in_memory();
    let mut client = retrying(&server, policy());
    let (sender, request) = live();
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
#[tokio::test(start_paused = true)]
async fn a_client_stream_makes_progress_message_by_message() {
    let server = Server::in_memory();
    let mut client = retrying(&server, policy());
    let (sender, request) = live();
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

// where a kind is not retried yet, it passes through untouched
#[tokio::test(start_paused = true)]
async fn a_live_stream_is_not_retried_and_its_failure_comes_as_it_is() {
    for answer in [
        unavailable("down"),
        Answer::status_in_trailers(Code::Unavailable, "down"),
        unavailable("down").reading_messages(1),
    ] {
        let server = Server::in_memory();
        server.script().otherwise(answer.metadata("x-zone", "b"));
        let mut client = retrying(&server, policy());
        let (sender, request) = live();
        tokio::spawn(async move {
            let _ = sender.send(text("one")).await;
            sender.closed().await;
        });
        let status = client.client_stream(request).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "down")
        );
        assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
        let calls = server.calls();
        assert_eq!(calls.len(), 1);
        assert!(calls[0].previous_attempts.is_none());
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
            let (sender, request) = live();
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
#[tokio::test(start_paused = true)]
async fn a_bidi_call_that_is_dropped_has_the_effect_it_has_without_the_layer() {
    let server = &Server::in_memory();
    let plain = dropped!(EchoClient::new(server.channel()), server);
    let layered = dropped!(retrying(server, policy()), server);
    assert_eq!(layered, plain);
    assert_eq!(layered[2].0, Outcome::Cancelled);
}

// CONTRACT R9; PEER-CASES GO-stream-multi, GO-replay-close
#[tokio::test(start_paused = true)]
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

// CONTRACT B4, I4: which method it is decides, not how fast its messages come
#[tokio::test(start_paused = true)]
async fn what_is_declared_a_stream_of_requests_passes_through_even_if_it_is_complete_at_once() {
    for kind in [MethodKind::BidiStreaming, MethodKind::ClientStreaming] {
        let declare = IdempotencyLayer::new().idempotent("/**").unwrap();
        let layers = || {
            ServiceBuilder::new()
                .layer(declare.clone().kind("/*/[BC]*Stream", kind).unwrap())
                .layer(RetryLayer::new(policy()))
        };
        let server = Server::in_memory();
        server
            .script()
            .otherwise(unavailable("down").reading_request());
        let mut client = EchoClient::new(layers().service(server.channel()));
        let complete = || tokio_stream::iter([text("a")]);
        let of_bidi = client.bidi_stream(complete()).await.unwrap_err();
        let of_upload = client.client_stream(complete()).await.unwrap_err();
        for status in [of_bidi, of_upload] {
            assert_eq!(status.message(), "down");
            assert_eq!(GiveUp::find(&status), None);
        }
        let calls = server.calls();
        assert_eq!(previous_attempts(&calls), [None, None]);
        assert!(calls.iter().all(|call| call.messages().len() == 1));
        // The other methods are retried as ever.
        client.unary(EchoRequest::default()).await.unwrap_err();
        assert_eq!(server.calls_to(method::UNARY).len(), 4);

        // So does a call whose own options say so.
        server.clear();
        let mut client = retrying(&server, policy());
        let mut request = Request::new(complete());
        request.call_options().idempotent().kind(kind);
        client.bidi_stream(request).await.unwrap_err();
        assert_eq!(server.count(), 1);
    }
}
