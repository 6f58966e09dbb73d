//! What an extra attempt took comes back if the attempt never left. CONTRACT T9.

use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use grpc_resilience::budget::{BudgetLayer, PercentageBudget};
use grpc_resilience::call::{AttemptKind, Budget, CallOptionsExt as _};
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use test_protos::EchoClient;
use testing::{Answer, Server, method};
use tokio::time::{sleep, timeout};
use tower::{Layer as _, ServiceBuilder};

use super::{down, spending};
use crate::support::{SECOND, declared, every, failures, hello, ms, policy};

const RETRY: AttemptKind = AttemptKind::Retry;

fn percent(percent: f64) -> Arc<PercentageBudget> {
    let budget = PercentageBudget::new(percent).unwrap().floor(0);
    Arc::new(budget.window(Duration::from_secs(3_600)).unwrap())
}

fn seen_again(server: &Server) -> u64 {
    let calls = server.calls();
    let again = calls.iter().filter(|it| it.previous_attempts.is_some());
    u64::try_from(again.count()).unwrap()
}

// CONTRACT T9: and the page of the adaptive throttle, "it takes nothing from a budget"
#[transports::test(start_paused = true)]
async fn a_retry_that_the_throttle_holds_back_takes_nothing() {
    let server = Server::in_memory();
    // After some answers, so that the first retries go.
    server
        .script()
        .on(method::UNARY, vec![Answer::handler(); 20]);
    server.script().always(method::UNARY, down());
    let budget = percent(1_000.0);
    let layer = AdaptiveThrottleLayer::new().seed(7);
    let throttled = layer.multiplier(1.1).unwrap().layer(server.channel());
    let throttle = throttled.throttle();
    let stack = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(policy()));
    let mut client = EchoClient::new(stack.service(throttled));
    for _ in 0..50 {
        let _ = client.unary(declared()).await;
    }
    let throttle = throttle.snapshot();
    let seen = seen_again(&server);
    assert!(seen > 0 && throttle.shed > 0, "{seen} seen, {throttle:?}");
    assert_eq!(budget.snapshot().spent(RETRY), seen);
}

macro_rules! waiting_client {
    ($server:expr, $budget:expr) => {
        EchoClient::new(
            ServiceBuilder::new()
                .layer(BudgetLayer::new(Arc::clone(&$budget)))
                .layer(RetryLayer::new(policy().backoff(every(SECOND))))
                .layer(WaitForReadyLayer::new())
                .service($server.channel()),
        )
    };
}

// CONTRACT T9
#[transports::test(start_paused = true)]
async fn a_retry_that_waited_for_its_channel_until_the_caller_left_takes_nothing() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    let budget = percent(100.0);
    let mut client = waiting_client!(server, budget);
    let call = tokio::spawn(async move {
        let _ = timeout(30 * SECOND, client.unary(declared())).await;
    });
    sleep(ms(500)).await;
    server.stop();
    call.await.unwrap();
    assert_eq!(server.count(), 1);
    let snapshot = budget.snapshot();
    assert_eq!((snapshot.tokens(), snapshot.spent(RETRY)), (Some(1.0), 0));
}

// CONTRACT T9, W2
#[transports::test(start_paused = true)]
async fn a_retry_that_waited_for_its_channel_and_then_went_keeps_what_it_took() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    let budget = percent(100.0);
    let mut client = waiting_client!(server, budget);
    let call = tokio::spawn(async move { client.unary(declared()).await });
    sleep(ms(500)).await;
    server.stop();
    sleep(5 * SECOND).await;
    server.start().await;
    call.await.unwrap().unwrap();
    assert_eq!(server.count(), 2);
    let snapshot = budget.snapshot();
    assert_eq!((snapshot.tokens(), snapshot.spent(RETRY)), (Some(0.0), 1));
}

// CONTRACT T9
#[transports::test(start_paused = true)]
async fn a_retry_that_is_under_way_when_its_caller_leaves_keeps_what_it_took() {
    let server = Server::in_memory();
    let slow = Answer::handler().after(60 * SECOND);
    server
        .script()
        .on(method::UNARY, failures(1).into_iter().chain([slow]));
    let budget = percent(100.0);
    let mut client = spending!(server, budget, policy().backoff(every(SECOND)));
    let call = client.unary(declared());
    timeout(30 * SECOND, call).await.unwrap_err();
    assert_eq!(server.count(), 2);
    assert_eq!(budget.snapshot().spent(RETRY), 1);
}

// CONTRACT T10: a call counts once
#[transports::test(start_paused = true)]
async fn a_call_that_a_layer_lets_pass_pays_in_once_whatever_stands_below() {
    for (outer, never) in [(policy(), true), (RetryPolicy::never(), false)] {
        let server = Server::in_memory();
        let budget = percent(100.0);
        let stack = ServiceBuilder::new()
            .layer(BudgetLayer::new(Arc::clone(&budget)))
            .layer(RetryLayer::new(outer))
            .layer(RetryLayer::new(policy()));
        let mut client = EchoClient::new(stack.service(server.channel()));
        let mut request = hello();
        if never {
            request.call_options().never_retry();
        }
        client.unary(request).await.unwrap();
        let tokens = budget.snapshot().tokens();
        assert_eq!(tokens, Some(1.0), "never_retry: {never}");
    }
}
