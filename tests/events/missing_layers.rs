//! A call option whose layer is missing is said whatever the outcome of the call, and only if the
//! call came as far as that layer would be.
//!
//! Over tonic alone: each of these runs in a process of its own, which is said once.

use std::time::Duration;

use grpc_resilience::call::{CallOptions, CallOptionsExt};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{
    AttemptTimeoutLayer, BudgetLayer, DeadlineLayer, IdempotencyLayer, RetryLayer, TokenBucket,
};
use test_protos::EchoClient;
use testing::{Answer, SECOND, Server, method, ms, undeclared};
use tokio::time::timeout;
use tonic::{Code, Status};
use tower::layer::util::Identity;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::{Layer, ServiceBuilder};

use crate::alone::{is_alone, missing};
use crate::support::Ear;

/// One call with these options under these layers, which the caller drops after some time.
macro_rules! call {
    ($layer:expr, $channel:expr, $set:expr) => {{
        let stack = Layer::layer(&$layer, $channel);
        let set: fn(&mut CallOptions) = $set;
        let mut request = undeclared();
        set(request.call_options());
        let mut client = EchoClient::new(stack);
        let outcome: Option<Result<_, Status>> =
            timeout(5 * SECOND, client.unary(request)).await.ok();
        outcome.map(|answer| answer.map(drop))
    }};
}

fn pairs(expected: &[[&str; 2]]) -> Vec<[String; 2]> {
    expected.iter().map(|it| it.map(str::to_owned)).collect()
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn an_attempt_timeout_without_its_layer_is_said_of_a_call_that_a_deadline_ended() {
    if !is_alone(
        "missing_layers::an_attempt_timeout_without_its_layer_is_said_of_a_call_that_a_deadline_ended",
    ) {
        return;
    }
    let (ear, server) = (Ear::new(), Server::hanging());
    let layers = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(SECOND))
        .layer(
            IdempotencyLayer::new()
                .idempotent("/test.v1.Echo/*")
                .unwrap(),
        )
        .layer(BudgetLayer::new(TokenBucket::default()))
        .layer(RetryLayer::default())
        .layer(WaitForReadyLayer::new());
    let outcome = call!(layers, server.channel(), |options| _ =
        options.attempt_timeout(ms(100)).timeout(ms(500)));
    let status = outcome.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    drop(status);
    let expected = pairs(&[["attempt_timeout", "AttemptTimeoutLayer"]]);
    assert_eq!(missing(&ear), expected);
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn waiting_without_its_layer_is_said_of_a_call_that_found_no_server() {
    if !is_alone("missing_layers::waiting_without_its_layer_is_said_of_a_call_that_found_no_server")
    {
        return;
    }
    let (ear, server) = (Ear::new(), Server::in_memory_unstarted());
    let outcome = call!(RetryLayer::default(), server.channel(), |options| _ =
        options.idempotent().wait_for_ready());
    assert!(outcome.unwrap().is_err());
    let expected = pairs(&[["wait_for_ready", "WaitForReadyLayer"]]);
    assert_eq!(missing(&ear), expected);
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn options_under_a_layer_that_only_annotates_are_said_of_a_call_that_hangs() {
    if !is_alone(
        "missing_layers::options_under_a_layer_that_only_annotates_are_said_of_a_call_that_hangs",
    ) {
        return;
    }
    let (ear, server) = (Ear::new(), Server::hanging());
    let outcome = call!(
        BudgetLayer::new(TokenBucket::default()),
        server.channel(),
        |options| _ = options.timeout(ms(100)).max_attempts(2)
    );
    assert!(outcome.is_none(), "nothing ends it");
    let expected = [["max_attempts", "RetryLayer"], ["timeout", "DeadlineLayer"]];
    assert_eq!(missing(&ear), pairs(&expected));
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn options_under_declarations_only_are_said_of_a_call_that_fails() {
    if !is_alone("missing_layers::options_under_declarations_only_are_said_of_a_call_that_fails") {
        return;
    }
    let (ear, server) = (Ear::new(), Server::in_memory());
    let answer = Answer::status(Code::Unavailable, "draining");
    server.script().on(method::UNARY, [answer]);
    let layer = IdempotencyLayer::new()
        .idempotent("/test.v1.Echo/*")
        .unwrap();
    let outcome = call!(layer, server.channel(), |options| _ =
        options.timeout(ms(100)).max_attempts(2));
    assert!(outcome.unwrap().is_err());
    let expected = [["max_attempts", "RetryLayer"], ["timeout", "DeadlineLayer"]];
    assert_eq!(missing(&ear), pairs(&expected));
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn attempts_without_a_retry_layer_are_said_of_a_call_that_timed_out() {
    if !is_alone("missing_layers::attempts_without_a_retry_layer_are_said_of_a_call_that_timed_out")
    {
        return;
    }
    let (ear, server) = (Ear::new(), Server::hanging());
    let layer = AttemptTimeoutLayer::new(ms(100)).unwrap();
    let outcome = call!(layer, server.channel(), |options| _ =
        options.max_attempts(2));
    assert!(outcome.unwrap().is_err());
    assert_eq!(missing(&ear), pairs(&[["max_attempts", "RetryLayer"]]));
}

// CONTRACT V2: a call that a layer keeps to itself says nothing of the layers below
#[tokio::test(start_paused = true)]
async fn a_call_that_a_layer_kept_misses_none_below_it() {
    if !is_alone("missing_layers::a_call_that_a_layer_kept_misses_none_below_it") {
        return;
    }
    let (ear, server) = (Ear::new(), Server::hanging());
    let busy = || {
        ServiceBuilder::new()
            .layer(DeadlineLayer::new())
            .layer(ConcurrencyLimitLayer::new(1))
            .layer(RetryLayer::default())
            .service(server.channel())
    };
    // Its deadline passed while it was queued for the one place.
    let stack = busy();
    let mut first = EchoClient::new(stack.clone());
    let first = tokio::spawn(async move { first.unary(undeclared()).await });
    while server.calls_to(method::UNARY).is_empty() {
        tokio::task::yield_now().await;
    }
    let outcome = call!(Identity::new(), stack, |options| _ =
        options.timeout(ms(100)).max_attempts(2));
    assert!(outcome.unwrap().is_err());
    assert_eq!(missing(&ear), pairs(&[]));
    first.abort();
    // A deadline of zero, and a call without an attempt.
    let all = || {
        ServiceBuilder::new()
            .layer(DeadlineLayer::new())
            .layer(RetryLayer::default())
            .layer(WaitForReadyLayer::new())
    };
    let outcome = call!(all(), server.channel(), |options| _ =
        options.timeout(Duration::ZERO).max_attempts(2));
    assert!(outcome.unwrap().is_err());
    let outcome = call!(all(), server.channel(), |options| _ =
        options.max_attempts(0).wait_for_ready());
    assert!(outcome.unwrap().is_err());
    assert_eq!(missing(&ear), pairs(&[]));
    // One that tower shed.
    let shedding = ServiceBuilder::new()
        .layer(DeadlineLayer::new())
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(0))
        .layer(RetryLayer::default())
        .service(server.channel());
    let outcome = call!(Identity::new(), shedding, |options| _ =
        options.timeout(SECOND).max_attempts(2));
    assert!(outcome.unwrap().is_err());
    assert_eq!(missing(&ear), pairs(&[]));
}

// CONTRACT V2: a call that waits for the channel was seen by nobody below
#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_the_channel_to_its_end_misses_none_below() {
    if !is_alone("missing_layers::a_call_that_waited_for_the_channel_to_its_end_misses_none_below")
    {
        return;
    }
    let (ear, server) = (Ear::new(), Server::in_memory_unstarted());
    let stack = ServiceBuilder::new()
        .layer(WaitForReadyLayer::new())
        .layer(RetryLayer::default())
        .layer(AttemptTimeoutLayer::new(SECOND).unwrap())
        .service(server.channel());
    let mut tested = EchoClient::new(stack.clone());
    let tested = tokio::spawn(async move {
        let mut request = undeclared();
        request.call_options().timeout(SECOND);
        tested.unary(request).await
    });
    tokio::time::sleep(ms(10)).await;
    let outcome = call!(Identity::new(), stack, |options| _ = options
        .timeout(ms(20))
        .max_attempts(2)
        .attempt_timeout(ms(5)));
    assert!(outcome.unwrap().is_err());
    assert_eq!(missing(&ear), pairs(&[]));
    tested.await.unwrap().unwrap_err();
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn a_layer_that_adds_options_on_the_way_makes_none_missing() {
    if !is_alone("missing_layers::a_layer_that_adds_options_on_the_way_makes_none_missing") {
        return;
    }
    let (ear, server) = (Ear::new(), Server::in_memory());
    let layers = ServiceBuilder::new()
        .layer(DeadlineLayer::new())
        .map_request(|mut request: http::Request<tonic::body::Body>| {
            request.call_options().max_attempts(3);
            request
        })
        .layer(RetryLayer::default());
    let outcome = call!(layers, server.channel(), |options| _ =
        options.timeout(SECOND).idempotent());
    outcome.unwrap().unwrap();
    assert_eq!(missing(&ear), pairs(&[]));
}
