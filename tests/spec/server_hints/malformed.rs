//! Malformed `grpc-status-details-bin` neither hides the code nor reaches tonic's parser, which
//! panics on it (DESIGN decision 17).

use grpc_resilience::call::{CallOptions, CallOptionsExt};
use grpc_resilience::grpc::MethodKind;
use test_protos::EchoRequest;
use testing::{Answer, Server, method};
use tonic::Code;

use crate::support::{declared, policy, retrying, unavailable, undeclared};

const MALFORMED: [&str; 4] = ["%%%", "a", "not base64!", "AQI=="];

#[transports::test(start_paused = true)]
async fn in_a_head_they_do_not_hide_the_code() {
    for encoded in MALFORMED {
        let server = Server::in_memory();
        server
            .script()
            .on(method::UNARY, [unavailable("one").details_raw(encoded)]);
        let mut client = retrying(&server, policy());
        client.unary(declared()).await.unwrap();
        assert_eq!(server.count(), 2, "{encoded}: retried by its code");
    }
}

#[transports::test(start_paused = true)]
async fn a_final_status_keeps_code_message_and_metadata() {
    let wishes: [fn(&mut CallOptions); 3] = [
        |options| _ = options.idempotent(),
        |_| (),
        |options| _ = options.never_retry(),
    ];
    for (wish, encoded) in wishes
        .iter()
        .flat_map(|wish| MALFORMED.map(|it| (wish, it)))
    {
        let in_trailers = Answer::status_in_trailers(Code::Unavailable, "down");
        for answer in [unavailable("down"), in_trailers] {
            for kind in [MethodKind::Unary, MethodKind::ServerStreaming] {
                let server = Server::in_memory();
                let answer = answer.clone().metadata("x-zone", "b").details_raw(encoded);
                server.script().always(method::UNARY, answer);
                let mut request = undeclared();
                request.call_options().kind(kind);
                wish(request.call_options());
                let mut client = retrying(&server, policy());
                let call = tokio::spawn(async move { client.unary(request).await });
                let status = call.await.expect("no panic").unwrap_err();
                assert_eq!(
                    (status.code(), status.message()),
                    (Code::Unavailable, "down")
                );
                assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
                assert!(status.details().is_empty());
            }
        }
    }
}

// Passing through: a live bidi call is not retried, and must not panic either.
#[transports::test(start_paused = true)]
async fn a_bidi_call_that_passes_through_sees_the_code() {
    for answer in [
        unavailable("down"),
        Answer::status_in_trailers(Code::Unavailable, "down"),
    ] {
        let server = Server::in_memory();
        server
            .script()
            .on(method::BIDI_STREAM, [answer.details_raw("%%%")]);
        let mut client = retrying(&server, policy());
        let call = tokio::spawn(async move {
            let requests = tokio_stream::pending::<EchoRequest>();
            let mut answers = client.bidi_stream(requests).await?.into_inner();
            answers.message().await
        });
        let status = call.await.expect("no panic").unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "down")
        );
        assert_eq!(server.count(), 1);
    }
}

#[transports::test(start_paused = true)]
async fn a_server_stream_s_last_word_is_understood() {
    let server = Server::in_memory();
    let message = testing::grpc_frame(&test_protos::EchoResponse::default());
    server.script().on(
        method::SERVER_STREAM,
        [Answer::status_after_message(Code::Unavailable, "down", message).details_raw("%%%")],
    );
    let mut client = retrying(&server, policy());
    let call = tokio::spawn(async move {
        let mut answers = client.server_stream(declared()).await?.into_inner();
        answers.message().await?.expect("a message");
        answers.message().await
    });
    let status = call.await.expect("no panic").unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "down")
    );
}
