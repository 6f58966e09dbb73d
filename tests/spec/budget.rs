//! The budget for extra attempts. CONTRACT T.

mod bucket;
mod charged;
mod given_back;
mod layer;
mod percentage;
mod shared;

use std::sync::Arc;

use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::{Budget, CallOptionsExt};
use grpc_resilience::classify::Reason;
use grpc_resilience::grpc::{self, MethodKind};
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::{BoxError, CallReport, GiveUp};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use test_protos::{EchoClient, EchoResponse};
use testing::{Answer, Server, grpc_frame, method};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{ServiceBuilder, ServiceExt as _};

use crate::support::{declared, failures, ms, policy, unavailable, undeclared};

fn bucket(max_tokens: u32, token_ratio: f64) -> Arc<TokenBucket> {
    Arc::new(TokenBucket::new(max_tokens, token_ratio).unwrap())
}

/// A client whose calls spend this budget.
macro_rules! spending {
    ($server:expr, $budget:expr, $policy:expr) => {
        EchoClient::new(
            ServiceBuilder::new()
                .layer(BudgetLayer::new(Arc::clone(&$budget)))
                .layer(RetryLayer::new($policy))
                .service($server.channel()),
        )
    };
}

use spending;

fn tokens(bucket: &TokenBucket) -> String {
    format!("{:.3}", bucket.tokens())
}

fn assert_down(status: &Status, reason: GiveUp) {
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "down")
    );
    assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
    assert_eq!(GiveUp::find(status), Some(reason));
}

fn down() -> Answer {
    unavailable("down").metadata("x-zone", "b")
}

// CONTRACT T1, T4, R17; PEER-CASES CORE-throttled
#[transports::test(start_paused = true)]
async fn returns_the_last_failure_at_once_when_the_budget_is_spent() {
    for (max_tokens, attempts) in [(2, 1), (4, 2), (6, 3), (100, 4)] {
        let server = Server::in_memory();
        server.script().always(method::UNARY, down());
        let budget = bucket(max_tokens, 1.0);
        assert_eq!(tokens(&budget), format!("{max_tokens}.000"), "starts full");
        let mut client = spending!(server, budget, policy());
        let start = Instant::now();
        let status = client.unary(declared()).await.unwrap_err();
        let spent = attempts < 4;
        let reason = if spent {
            GiveUp::BudgetExhausted
        } else {
            GiveUp::AttemptsExhausted
        };
        assert_down(&status, reason);
        assert_eq!(server.count(), attempts);
        let waits = u64::try_from(attempts - 1).unwrap();
        assert_eq!(start.elapsed(), ms(10 * waits), "nothing waits for tokens");
    }
}

// CONTRACT T7
#[transports::test(start_paused = true)]
async fn first_attempts_go_with_an_empty_bucket() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, down());
    let budget = bucket(2, 0.1);
    let mut client = spending!(server, budget, policy());
    for call in 1..=5 {
        let status = client.unary(declared()).await.unwrap_err();
        assert_down(&status, GiveUp::BudgetExhausted);
        assert_eq!(server.count(), call);
    }
    assert_eq!(tokens(&budget), "0.000", "T1: never below zero");
}

// CONTRACT T1, T3; PEER-CASES SM-quota
#[transports::test(start_paused = true)]
async fn successes_bring_retries_back_and_never_overfill() {
    let server = Server::in_memory();
    let budget = bucket(4, 0.5);
    let mut client = spending!(server, budget, policy());
    // The answers of one call or more; how many attempts they were worth, and what is left.
    for (failing, calls, attempts, left) in [
        (0, 1, 1, "4.000"),
        (2, 1, 2, "2.000"),
        (1, 1, 1, "1.000"),
        (0, 3, 3, "2.500"),
        (1, 1, 1, "1.500"),
        (0, 4, 4, "3.500"),
        (1, 1, 2, "3.000"),
        (0, 9, 9, "4.000"),
        (1, 1, 2, "3.500"),
    ] {
        server.clear();
        server.script().on(method::UNARY, failures(failing));
        for _ in 0..calls {
            let _ = client.unary(declared()).await;
        }
        assert_eq!(server.script().remaining(), 0);
        assert_eq!((server.count(), tokens(&budget).as_str()), (attempts, left));
    }
}

// CONTRACT T3: a call counts once, however many attempts it took
#[transports::test(start_paused = true)]
async fn a_retried_success_takes_a_token_per_failure_and_gains_once() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(2));
    let budget = bucket(10, 0.1);
    let mut client = spending!(server, budget, policy());
    client.unary(declared()).await.unwrap();
    assert_eq!(server.count(), 3);
    assert_eq!(tokens(&budget), "8.100");
}

// CONTRACT T2, T5, P6; PEER-CASES JAVA-throttled-{retryable, fatal} x {no hint, positive, negative}
#[transports::test(start_paused = true)]
async fn who_deducts_a_token_and_who_may_retry() {
    let retryable = || Answer::status(Code::Unavailable, "down");
    let fatal = || Answer::status(Code::Internal, "down");
    // Of a full bucket of four: the answer, the attempts, and the tokens left. The second attempt is OK.
    for (answer, attempts, left) in [
        (retryable(), 2, "3.500"),
        (retryable().pushback("10"), 2, "3.500"),
        (retryable().pushback("-1"), 1, "3.000"),
        (fatal(), 1, "4.000"),
        (fatal().pushback("10"), 1, "4.000"),
        (fatal().pushback("-1"), 1, "3.000"),
    ] {
        let server = Server::in_memory();
        server.script().on(method::UNARY, [answer.clone()]);
        let budget = bucket(4, 0.5);
        let mut client = spending!(server, budget, policy());
        let call = client.unary(declared()).await;
        assert_eq!(call.is_ok(), attempts == 2, "{answer:?}");
        assert_eq!(server.count(), attempts, "{answer:?}");
        assert_eq!(tokens(&budget), left, "{answer:?}");

        // At the threshold nothing is retried, and the same failures deduct.
        let budget = bucket(4, 0.5);
        budget.failed();
        budget.failed();
        let mut client = spending!(server, budget, policy());
        server.clear();
        server.script().on(method::UNARY, [answer.clone()]);
        client.unary(declared()).await.unwrap_err();
        assert_eq!(server.count(), 1, "{answer:?}");
        let left = if left == "4.000" { "2.000" } else { "1.000" };
        assert_eq!(tokens(&budget), left, "{answer:?}");
    }
}

// CONTRACT T2: whether a failure is retryable is a matter of its code, not of the declaration
#[transports::test(start_paused = true)]
async fn a_retryable_failure_of_an_undeclared_call_deducts_too() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    let budget = bucket(10, 0.1);
    let mut client = spending!(server, budget, policy());
    client.unary(undeclared()).await.unwrap_err();
    assert_eq!(tokens(&budget), "9.000");
}

// CONTRACT T2, I1: no connection is a failed attempt too
#[transports::test(start_paused = true)]
async fn failed_connects_are_bounded_by_the_budget() {
    let server = Server::in_memory_unstarted();
    let budget = bucket(4, 0.1);
    let mut client = spending!(server, budget, policy());
    let status = client.unary(undeclared()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(GiveUp::find(&status), Some(GiveUp::BudgetExhausted));
    assert_eq!(CallReport::find(&status).unwrap().attempts(), 2);
    assert_eq!(tokens(&budget), "2.000");
}

// CONTRACT T2, T3, for answers that go on after their head
#[transports::test(start_paused = true)]
async fn a_stream_counts_at_its_end() {
    let server = Server::in_memory();
    let budget = bucket(10, 0.5);
    budget.failed();
    let mut client = spending!(server, budget, policy());
    let three = || {
        let mut request = declared();
        request.get_mut().repeat = 3;
        request
    };
    let mut answers = client.server_stream(three()).await.unwrap().into_inner();
    for _ in 0..3 {
        answers.message().await.unwrap().unwrap();
        assert_eq!(tokens(&budget), "9.000", "not over yet");
    }
    assert!(answers.message().await.unwrap().is_none());
    assert_eq!(tokens(&budget), "9.500");

    let message = grpc_frame(&EchoResponse::default());
    for (code, left) in [(Code::Unavailable, "8.500"), (Code::Internal, "8.500")] {
        let answer = Answer::status_after_message(code, "midway", message.clone());
        server.script().on(method::SERVER_STREAM, [answer]);
        let mut answers = client.server_stream(three()).await.unwrap().into_inner();
        answers.message().await.unwrap().unwrap();
        answers.message().await.unwrap_err();
        assert_eq!(tokens(&budget), left, "{code:?}");
    }
}

// CONTRACT T2, T3, for heads that are held
#[transports::test(start_paused = true)]
async fn a_held_answer_counts_once() {
    let server = Server::in_memory();
    let in_trailers = Answer::status_in_trailers(Code::Unavailable, "down");
    server.script().on(method::UNARY, [in_trailers]);
    let budget = bucket(10, 0.5);
    let mut client = spending!(server, budget, policy());
    let mut request = declared();
    request.call_options().kind(MethodKind::Unary);
    client.unary(request).await.unwrap();
    assert_eq!(server.count(), 2);
    assert_eq!(tokens(&budget), "9.500");
}

// CONTRACT T6: through the raw peer, for no server refuses a stream on demand
#[transports::test]
async fn transparent_retries_neither_count_nor_need_tokens() {
    use peer::{Connection, Peer, Stream};

    let peer = Peer::always(Connection::new().streams([Stream::refuse()])).await;
    let budget = bucket(2, 1.0);
    budget.failed();
    let channel = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(policy()))
        .service(transports::Channel::to(peer.uri()));
    EchoClient::new(channel).unary(undeclared()).await.unwrap();
    assert_eq!(peer.streams_seen().len(), 2);
    assert_eq!(tokens(&budget), "2.000", "one success, no failure");
}

// CONTRACT T8: three decimals, the rest cut off
#[transports::test(start_paused = true)]
async fn the_ratio_counts_to_three_decimals() {
    let server = Server::in_memory();
    let budget = bucket(10, 0.466_9);
    budget.failed();
    let mut client = spending!(server, budget, policy());
    client.unary(declared()).await.unwrap();
    assert_eq!(tokens(&budget), "9.466");
}

/// A service whose every answer is a head, and then trailers with this and nothing else.
macro_rules! trailing {
    ($name:literal: $value:literal) => {
        tower::service_fn(|_: http::Request<Body>| async {
            let trailer = ($name.parse().unwrap(), $value.parse().unwrap());
            let trailers = std::iter::once(trailer).collect();
            let frame = Ok::<_, Status>(Frame::trailers(trailers));
            let body = StreamBody::new(tokio_stream::once(frame));
            Ok::<_, BoxError>(http::Response::new(Body::new(body)))
        })
    };
}

// CONTRACT T3, R16
#[tokio::test(start_paused = true)]
async fn trailers_that_hold_no_status_are_an_unknown_failure_and_refill_nothing() {
    for kind in [MethodKind::Unary, MethodKind::ServerStreaming] {
        let budget = bucket(10, 1.0);
        budget.failed();
        budget.failed();
        let layers = || {
            ServiceBuilder::new()
                .layer(BudgetLayer::new(Arc::clone(&budget)))
                .layer(RetryLayer::new(policy()))
        };
        let request = || {
            let mut request = http::Request::new(Body::empty());
            request.call_options().kind(kind);
            request
        };
        let silent = layers().service(trailing!("x": "y"));
        let error = match silent.oneshot(request()).await {
            Ok(answer) => answer.into_body().collect().await.unwrap_err(),
            Err(held_head) => held_head,
        };
        assert_eq!(error.verdict().reason, Reason::NoStatus);
        assert_eq!(error.code(), grpc::Code::Unknown);
        assert_eq!(error.metadata()["x"], "y");
        assert_eq!(tokens(&budget), "8.000", "{kind:?}");

        let told = layers().service(trailing!("grpc-status": "0"));
        let answer = told.oneshot(request()).await.unwrap();
        answer.into_body().collect().await.unwrap();
        assert_eq!(tokens(&budget), "9.000", "{kind:?}");
    }
}
