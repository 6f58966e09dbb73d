//! The one error, as a generated client shows it (DESIGN decision 13).

mod once;

use grpc_resilience::classify::{Progress, Reason};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{Error, GiveUp, Resilience};
use http_body::Body as HttpBody;
use test_protos::EchoResponse;
use testing::{Answer, Server, details, grpc_frame, method};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use transports::Channel;

use crate::support::{
    SECOND, Stack, client, for_each_stack, hang_after_message, has, hello, ours, sources,
};

fn assert_send<T: Send>(value: T) -> T {
    value
}

async fn spawned<T: Stack>(stack: T) -> Status {
    let mut client = client(stack);
    let call = assert_send(async move { client.unary(hello()).await });
    tokio::spawn(call).await.unwrap().unwrap_err()
}

#[transports::test(start_paused = true)]
async fn a_spawned_call_shows_the_server_s_code_message_details_and_metadata() {
    let server = Server::in_memory();
    let why = details(Code::PermissionDenied, "why", &[]);
    let denied = Answer::status(Code::PermissionDenied, "not you: 100 %, \u{1f980}")
        .metadata("x-zone", "b")
        .details(&why);
    server.script().otherwise(denied);
    let stacks = for_each_stack!(server.channel(), |name, stack| {
        let status = spawned(stack).await;
        assert_eq!(status.code(), Code::PermissionDenied, "{name}");
        assert_eq!(status.message(), "not you: 100 %, \u{1f980}", "{name}");
        assert_eq!(status.metadata().get("x-zone").unwrap(), "b", "{name}");
        assert_eq!(status.details(), &why, "{name}");
    });
    assert_eq!(server.count(), stacks.len());
}

/// Compiles if the layer's own error and its body's are ours.
fn is_ours<S, R>(service: S) -> S
where
    S: Service<http::Request<Body>, Response = http::Response<R>, Error = Error>,
    R: HttpBody<Error = Error>,
{
    service
}

#[transports::test(start_paused = true)]
async fn every_layer_that_acts_returns_the_one_concrete_error_and_none_nests_another() {
    let server = Server::in_memory();
    server
        .script()
        .otherwise(Answer::status(Code::Aborted, "no"));
    let deadline = || DeadlineLayer::new().default_timeout(SECOND);
    let retry = || RetryLayer::new(RetryPolicy::new());
    let alone = is_ours(retry().layer(server.channel()));
    let deep =
        is_ours(retry().layer(WaitForReadyLayer::new().layer(deadline().layer(alone.clone()))));
    let full = is_ours(Resilience::new().wrap(server.channel()));
    let _ = is_ours(deadline().layer(server.channel()));
    let _ = is_ours(WaitForReadyLayer::new().layer(server.channel()));
    for status in [
        spawned(alone).await,
        spawned(deep.clone()).await,
        spawned(full.clone()).await,
    ] {
        assert_eq!(ours(&status).len(), 1, "{status:?}");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::CodeNotRetryable));
        assert_eq!(ours(&status)[0].verdict().progress, Progress::Answered);
    }
    server.script().otherwise(Answer::drop_connection());
    for status in [spawned(deep).await, spawned(full).await] {
        assert_eq!(ours(&status).len(), 1, "{status:?}");
    }
}

fn is_lost(status: &Status, name: &str) {
    assert_eq!(status.code(), Code::Unavailable, "{name}: {status:?}");
    assert!(
        has::<h2::Error>(status) || has::<hyper::Error>(status),
        "{name}: {}",
        sources(status)
    );
    let error = ours(status)[0];
    assert_eq!(error.verdict().reason, Reason::ConnectionLost, "{name}");
    assert_eq!(error.verdict().progress, Progress::Reached, "{name}");
}

// CONTRACT H4, R17; FIELD.md 7.2
// Over tonic alone: the cause is an error of tonic's.
#[tokio::test(start_paused = true)]
async fn a_connection_lost_under_a_call_is_unavailable_with_the_transport_s_error_in_the_chain() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::drop_connection());
    let bare = spawned(server.channel()).await;
    assert_eq!(bare.code(), Code::Unknown, "what tonic makes of it");
    let stacks = for_each_stack!(server.channel(), |name, stack| {
        let status = spawned(stack).await;
        // Annotations alone touch no answer.
        if !["idempotency", "budget"].contains(&name) {
            is_lost(&status, name);
            assert!(has::<tonic::transport::Error>(&status), "{name}");
        }
    });
    assert_eq!(stacks.len(), 17);
}

async fn lost_in_the_answer<T: Stack>(server: &Server, stack: T) -> Status {
    server.start().await;
    let mut answers = client(stack)
        .server_stream(hello())
        .await
        .unwrap()
        .into_inner();
    assert!(answers.message().await.unwrap().is_some());
    server.stop();
    answers.message().await.unwrap_err()
}

// CONTRACT H4
#[transports::test(start_paused = true)]
async fn a_connection_lost_in_the_middle_of_an_answer_is_unavailable() {
    let server = Server::in_memory();
    server.script().otherwise(hang_after_message());
    let stacks = for_each_stack!(server.channel(), |name, stack| {
        let status = lost_in_the_answer(&server, stack).await;
        if !["idempotency", "budget"].contains(&name) {
            is_lost(&status, name);
        }
    });
    assert_eq!(stacks.len(), 17);
}

// SEEDS.md 1; DESIGN decision 13
#[transports::test(start_paused = true)]
async fn the_reason_for_giving_up_is_found_in_a_client_s_status() {
    let server = Server::in_memory();
    server
        .script()
        .otherwise(Answer::status(Code::Unavailable, "no").pushback("-1"));
    let status = spawned(Resilience::new().wrap(server.channel())).await;
    assert_eq!(GiveUp::find(&status), Some(GiveUp::PushbackStop));
    server
        .script()
        .otherwise(Answer::status(Code::Unavailable, "no"));
    let policy = RetryPolicy::new().assume_idempotent();
    let status = spawned(Resilience::new().retry(policy).wrap(server.channel())).await;
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(ours(&status)[0].attempts(), 4);
    assert_eq!(GiveUp::find(&Status::unavailable("not ours")), None);
}

// FIELD.md 7.15: logging an error must not print auth metadata
#[transports::test(start_paused = true)]
async fn debug_and_display_of_an_error_print_no_metadata_value() {
    let server = Server::in_memory();
    let secret = Answer::status(Code::Unavailable, "no")
        .metadata("set-cookie", "hunter2")
        .metadata("authorization", "hunter2");
    server.script().otherwise(secret);
    let policy = RetryPolicy::new().assume_idempotent();
    let stack = Resilience::new().retry(policy).default_timeout(SECOND);
    let status = spawned(stack.wrap(server.channel())).await;
    assert_eq!(status.metadata().get("set-cookie").unwrap(), "hunter2");
    for error in ours(&status) {
        let shown = format!("{error:?} {error:#?} {error}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("UNAVAILABLE (answered)"), "{shown}");
        // Only where all of it is asked for: a client's status shows the message itself.
        assert!(
            format!("{error:#?}").contains("message: \"no\""),
            "{error:#?}"
        );
    }
}

// FIELD.md 3; DESIGN decision 17
#[transports::test(start_paused = true)]
async fn malformed_details_do_not_panic_under_any_layer() {
    let server = Server::in_memory();
    let frame = grpc_frame(&EchoResponse::default());
    let stray = "!! no base64 !!";
    let answers = [
        Answer::status(Code::Aborted, "no").details_raw(stray),
        Answer::status_in_trailers(Code::Aborted, "no").details_raw(stray),
        Answer::status_after_message(Code::Aborted, "no", frame).details_raw(stray),
    ];
    for answer in answers {
        server.script().always(method::UNARY, answer.clone());
        let stacks = for_each_stack!(server.channel(), |name, stack| {
            // Annotations alone touch no answer, so that tonic's client panics under them as ever.
            if !["idempotency", "budget"].contains(&name) {
                let status = spawned(stack).await;
                assert_eq!(
                    (status.code(), status.message()),
                    (Code::Aborted, "no"),
                    "{name}"
                );
                assert!(status.details().is_empty());
            }
        });
        assert_eq!(stacks.len(), 17);
    }
}

// DESIGN decision 13; CONTRACT V3
// Over tonic alone: the cause is an error of tonic's.
#[tokio::test(start_paused = true)]
async fn the_source_of_an_error_is_the_status_that_a_client_shows_and_its_cause_the_transport_s() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::drop_connection());
    let status = spawned(Resilience::new().wrap(server.channel())).await;
    let error = Error::find(&status).unwrap();
    let shown = std::error::Error::source(error).unwrap();
    let shown = shown.downcast_ref::<Status>().unwrap();
    assert_eq!(
        (shown.code(), shown.message()),
        (status.code(), status.message())
    );
    assert!(std::error::Error::source(shown).is_none());
    assert!(error.cause().unwrap().is::<tonic::transport::Error>());
    assert!(Error::find(&Status::unavailable("not ours")).is_none());
}

#[expect(dead_code, reason = "its type is the test")]
struct Holder {
    error: Error,
    channel: grpc_resilience::Resilient<Channel>,
}

#[test]
fn errors_and_channels_can_cross_threads() {
    fn crosses<T: Send + 'static>() {}
    fn shared<T: Send + Sync + Clone + 'static>() {}
    crosses::<Holder>();
    shared::<Error>();
    crosses::<grpc_resilience::Resilient<Channel>>();
}
