//! What commits a call. CONTRACT R6.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::grpc::{self, MethodKind};
use grpc_resilience::idempotency::IdempotencyLayer;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::{BoxError, GiveUp};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use test_protos::{EchoClient, EchoRequest, EchoResponse};
use testing::{Answer, Server, grpc_frame, method};
use tokio::time::{sleep, timeout};
use tonic::body::Body;
use tonic::{Code, Request, Status};
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};

use super::indices;
use crate::support::{
    declared, failures, ms, policy, previous_attempts, retrying, unavailable, undeclared,
};

fn three_answers() -> Request<EchoRequest> {
    let mut request = declared();
    request.get_mut().repeat = 3;
    request
}

fn of_kind(kind: MethodKind) -> Request<EchoRequest> {
    let mut request = declared();
    request.call_options().kind(kind);
    request
}

fn in_trailers(message: &str) -> Answer {
    Answer::status_in_trailers(Code::Unavailable, message)
}

fn message(index: u32) -> bytes::Bytes {
    grpc_frame(&EchoResponse {
        index,
        ..EchoResponse::default()
    })
}

// PEER-CASES GO-stream-one, CORE-streaming
#[transports::test(start_paused = true)]
async fn a_server_stream_is_retried_until_it_is_committed() {
    let server = Server::in_memory();
    server.script().on(method::SERVER_STREAM, failures(2));
    let mut client = retrying(&server, policy());
    let answers = client.server_stream(three_answers()).await.unwrap();
    let (seen, end) = indices(answers.into_inner()).await;
    assert_eq!(seen, [0, 1, 2]);
    assert!(end.is_none());
    assert_eq!(
        previous_attempts(&server.calls()),
        [None, Some("1"), Some("2")]
    );
}

// PEER-CASES GO-stream-non-retriable, GO-stream-exceed, MW-stream-out-of-retries
#[transports::test(start_paused = true)]
async fn a_server_stream_fails_as_a_unary_call_does() {
    for (code, attempts) in [(Code::Internal, 1), (Code::Unavailable, 4)] {
        let server = Server::in_memory();
        let answer = Answer::status(code, "down").reading_messages(1);
        server.script().always(method::SERVER_STREAM, answer);
        let mut client = retrying(&server, policy());
        let status = client.server_stream(three_answers()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, "down"));
        let calls = server.calls();
        assert_eq!(calls.len(), attempts);
        assert!(calls.iter().all(|call| call.messages().len() == 1));
    }
}

// PEER-CASES GO-no-retry-after-header, NET-trailers-only-vs-headers, CORE-recv-initial-metadata
#[transports::test(start_paused = true)]
async fn headers_commit_a_stream_and_a_method_of_unknown_kind() {
    let server = Server::in_memory();
    let answer = in_trailers("down").metadata("x-zone", "b");
    server.script().otherwise(answer);
    let mut client = retrying(&server, policy());

    let answers = client.server_stream(three_answers()).await.unwrap();
    let (seen, end) = indices(answers.into_inner()).await;
    let streamed = end.unwrap();
    assert!(seen.is_empty());
    let of_unknown_kind = client.unary(declared()).await.unwrap_err();
    let stream = of_kind(MethodKind::ServerStreaming);
    let of_streaming_kind = client.unary(stream).await.unwrap_err();
    for status in [streamed, of_unknown_kind, of_streaming_kind] {
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "down")
        );
        assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Committed));
    }
    assert_eq!(server.count(), 3);
}

// CONTRACT R6, ours: a status in trailers counts where only one message can come; PEER-CASES LK-peek
#[transports::test(start_paused = true)]
async fn a_status_in_trailers_is_retried_where_the_method_answers_once() {
    let server = Server::in_memory();
    let script = || {
        server
            .script()
            .on(method::UNARY, [in_trailers("1"), in_trailers("2")])
    };
    script();
    let mut client = retrying(&server, policy());
    client.unary(of_kind(MethodKind::Unary)).await.unwrap();
    assert_eq!(server.count(), 3);

    // Declared for the channel instead of the call.
    server.clear();
    script();
    let channel = ServiceBuilder::new()
        .layer(
            IdempotencyLayer::new()
                .unary("/test.v1.Echo/Unary*")
                .unwrap(),
        )
        .layer(RetryLayer::new(policy()))
        .service(server.channel());
    let mut client = EchoClient::new(channel);
    client.unary(declared()).await.unwrap();
    assert_eq!(server.count(), 3);

    // The call's own word beats the channel's.
    server.clear();
    script();
    let streaming = of_kind(MethodKind::ServerStreaming);
    client.unary(streaming).await.unwrap_err();
    assert_eq!(server.count(), 1);
}

// CONTRACT R6: data commits, also where one message can come; PEER-CASES LK-peek
#[transports::test(start_paused = true)]
async fn a_message_commits_whatever_the_kind() {
    let server = Server::in_memory();
    let answer = Answer::status_after_message(Code::Unavailable, "down", message(0));
    server.script().always(method::UNARY, answer);
    let mut client = retrying(&server, policy());
    for request in [declared(), of_kind(MethodKind::Unary)] {
        server.clear();
        let status = client.unary(request).await.unwrap_err();
        assert_eq!(status.message(), "down");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Committed));
        assert_eq!(server.count(), 1);
    }
}

// CONTRACT R6, I3: what is held is an answer; undeclared it is not repeated
#[transports::test(start_paused = true)]
async fn an_undeclared_status_in_trailers_is_returned_with_head_and_trailers() {
    let server = Server::in_memory();
    let answer = in_trailers("down")
        .header_raw("x-head", "h")
        .metadata("x-trailer", "t");
    server.script().on(method::UNARY, [answer]);
    let mut request = undeclared();
    request.call_options().kind(MethodKind::Unary);
    let call = retrying(&server, policy()).unary(request).await;
    let status = call.unwrap_err();
    assert_eq!(status.metadata().get("x-head").unwrap(), "h");
    assert_eq!(status.metadata().get("x-trailer").unwrap(), "t");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
    assert_eq!(server.count(), 1);
}

// PEER-CASES GO-no-retry-after-receiving, CORE-recv-message; CONTRACT B2
#[transports::test(start_paused = true)]
async fn a_status_after_the_first_message_is_not_retried_and_nothing_is_spliced() {
    let server = Server::in_memory();
    let begun = Answer::status_after_message(Code::Unavailable, "midway", message(7));
    server.script().on(
        method::SERVER_STREAM,
        [
            unavailable("first").metadata("x-from", "1"),
            begun.header_raw("x-from", "2"),
        ],
    );
    let mut client = retrying(&server, policy());
    let answers = client.server_stream(three_answers()).await.unwrap();
    let from: Vec<_> = answers
        .metadata()
        .get_all("x-from")
        .iter()
        .cloned()
        .collect();
    assert_eq!(from, ["2"]);
    let (seen, end) = indices(answers.into_inner()).await;
    assert_eq!(seen, [7]);
    let status = end.unwrap();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "midway")
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Committed));
    sleep(ms(60_000)).await;
    assert_eq!(server.count(), 2);
}

// CONTRACT B2
#[transports::test(start_paused = true)]
async fn of_a_held_attempt_that_failed_nothing_reaches_the_caller() {
    let server = Server::in_memory();
    server.script().on(
        method::UNARY,
        [
            in_trailers("1")
                .header_raw("x-from", "1")
                .metadata("x-only-one", "1"),
            Answer::handler().header_raw("x-from", "2"),
        ],
    );
    let mut request = of_kind(MethodKind::Unary);
    "hello".clone_into(&mut request.get_mut().text);
    let call = retrying(&server, policy()).unary(request).await;
    let answer = call.unwrap();
    let from: Vec<_> = answer
        .metadata()
        .get_all("x-from")
        .iter()
        .cloned()
        .collect();
    assert_eq!(from, ["2"]);
    assert!(answer.metadata().get("x-only-one").is_none());
    assert_eq!(answer.get_ref().text, "hello");
}

// CONTRACT R6, H4; PEER-CASES CORE-recv-trailing-metadata-error
#[transports::test(start_paused = true)]
async fn a_connection_lost_midway_is_unavailable_and_not_retried() {
    let server = Server::in_memory();
    let begun = Answer::hang_after_head().frame(message(7));
    server.script().on(method::SERVER_STREAM, [begun]);
    let mut client = retrying(&server, policy());
    let answers = client.server_stream(three_answers()).await.unwrap();
    let mut answers = answers.into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().index, 7);
    server.stop();
    server.start().await;
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Committed));
    assert_eq!(server.count(), 1);
}

// CONTRACT B5; PEER-CASES JAVA-headers-then-cancel, CORE-unref
#[transports::test(start_paused = true)]
async fn a_response_that_is_dropped_cancels_its_attempt() {
    let server = Server::in_memory();
    let begun = Answer::hang_after_head().frame(message(7));
    server
        .script()
        .on(method::SERVER_STREAM, [unavailable("one"), begun]);
    let mut client = retrying(&server, policy());
    let answers = client.server_stream(three_answers()).await.unwrap();
    drop(answers);
    let ended = server.wait_until(|calls| {
        calls
            .iter()
            .all(|it| it.outcome != testing::Outcome::Running)
    });
    let calls = timeout(ms(1_000), ended).await.unwrap();
    assert_eq!(calls.len(), 2);
    assert!(calls[1].cancelled());
}

// CONTRACT R6, R16, I4
#[tokio::test(start_paused = true)]
async fn a_held_head_whose_body_breaks_or_ends_is_committed_even_if_declared() {
    for breaks in [true, false] {
        let sent = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&sent);
        let service = service_fn(move |_: http::Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            let reset = breaks.then(|| Err::<Frame<Bytes>, _>(Status::unavailable("reset")));
            let body = Body::new(StreamBody::new(tokio_stream::iter(reset)));
            async { Ok::<_, BoxError>(http::Response::new(body)) }
        });
        let mut request = http::Request::new(Body::empty());
        request.call_options().idempotent().kind(MethodKind::Unary);
        let answer = RetryLayer::new(policy()).layer(service).oneshot(request);
        let body = answer.await.unwrap().into_body();
        assert!(!body.is_end_stream(), "or nobody would read the failure");
        let error = body.collect().await.unwrap_err();
        assert_eq!(error.give_up(), Some(GiveUp::Committed));
        let code = if breaks {
            grpc::Code::Unavailable
        } else {
            grpc::Code::Unknown
        };
        assert_eq!(error.code(), code);
        assert_eq!(sent.load(Ordering::Relaxed), 1);
    }
}
