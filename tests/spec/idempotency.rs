//! What may be repeated. CONTRACT I.

mod declared;
mod descriptors;
mod explain;
mod keys;

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::{CallReport, GiveUp};
use test_protos::EchoRequest;
use testing::{Answer, Server, method};
use tokio::time::sleep;
use tonic::{Code, Request};

use crate::support::{
    declared, every, ms, policy, previous_attempts, retrying, unavailable, undeclared,
};

// PEER-CASES GAX-connect; CONTRACT I1, R3; DESIGN decision 5: a failed connect is an attempt, and needs no declaration
// Over tonic alone: each attempt dials; over ours the channel dials, at times of its own (C3).
#[tokio::test(start_paused = true)]
async fn a_failed_connect_is_retried_without_a_declaration_and_counts() {
    let server = Server::in_memory_unstarted();
    let mut client = retrying(&server, policy().backoff(every(ms(100))));
    let call = tokio::spawn({
        let mut client = client.clone();
        async move { client.unary(undeclared()).await }
    });
    sleep(ms(150)).await;
    assert_eq!(server.dials(), 2);
    server.start().await;
    call.await.unwrap().unwrap();
    assert_eq!(previous_attempts(&server.calls()), [Some("2")]);

    // Gone for good: as many dials as attempts.
    server.stop();
    sleep(ms(1)).await;
    let dials = server.dials();
    let status = client.unary(undeclared()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(server.dials() - dials, 4);
}

// CONTRACT I1
#[transports::test(start_paused = true)]
async fn a_failed_connect_is_retried_even_if_the_caller_says_not_idempotent() {
    let server = Server::in_memory_unstarted();
    let mut request = undeclared();
    request.call_options().not_idempotent();
    let status = retrying(&server, policy()).unary(request).await;
    let status = status.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(CallReport::find(&status).unwrap().attempts(), 4);
}

// CONTRACT I2, I4: the connection died under the request
#[transports::test(start_paused = true)]
async fn what_may_have_run_is_repeated_only_if_it_is_declared() {
    for (request, attempts) in [(undeclared(), 1), (declared(), 2)] {
        let server = Server::in_memory();
        let answer = Answer::drop_connection().reading_request();
        server.script().on(method::UNARY, [answer]);
        let call = retrying(&server, policy()).unary(request).await;
        assert_eq!(server.count(), attempts);
        if attempts == 2 {
            call.unwrap();
            continue;
        }
        let status = call.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "H4");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
    }
}

// CONTRACT I3; also for streams, and for what a proxy says
#[transports::test(start_paused = true)]
async fn what_was_answered_is_repeated_only_if_it_is_declared() {
    let proxy = Answer::http(http::StatusCode::SERVICE_UNAVAILABLE, "text/html", "sorry");
    for answer in [
        unavailable("down"),
        unavailable("down").pushback("5"),
        proxy,
    ] {
        for (request, attempts) in [(undeclared(), 1), (declared(), 4)] {
            let server = Server::in_memory();
            server.script().otherwise(answer.clone());
            let mut client = retrying(&server, policy());
            let streamed = client.server_stream(request).await.unwrap_err();
            assert_eq!(streamed.code(), Code::Unavailable);
            assert_eq!(server.count(), attempts);
        }
    }
}

fn wishing(tune: impl FnOnce(&mut grpc_resilience::call::CallOptions)) -> Request<EchoRequest> {
    let mut request = undeclared();
    tune(request.call_options());
    request
}

// CONTRACT I5: the call's own word comes first
#[transports::test(start_paused = true)]
async fn assume_idempotent_stands_for_a_declaration_and_the_call_s_word_beats_it() {
    for (request, attempts) in [
        (undeclared(), 4),
        (wishing(|options| _ = options.idempotent()), 4),
        (wishing(|options| _ = options.not_idempotent()), 1),
    ] {
        let server = Server::in_memory();
        server.script().always(method::UNARY, unavailable("down"));
        let mut client = retrying(&server, policy().assume_idempotent());
        let status = client.unary(request).await.unwrap_err();
        assert_eq!(server.count(), attempts);
        assert_eq!(
            GiveUp::find(&status) == Some(GiveUp::NotIdempotent),
            attempts == 1
        );
    }
}
