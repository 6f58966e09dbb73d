//! The percentage budget under the retry layer, over a real server. CONTRACT T9, T10.

use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::GiveUp;
use grpc_resilience::budget::{BudgetLayer, PercentageBudget};
use grpc_resilience::call::{AttemptKind, Budget, CallOptionsExt as _};
use grpc_resilience::retry::{Policies, RetryLayer, RetryPolicy};
use test_protos::EchoClient;
use testing::{Server, method};
use tokio::time::{advance, timeout};
use tower::ServiceBuilder;

use super::{assert_down, down, spending};
use crate::support::{SECOND, declared, every, failures, ms, policy, undeclared};

const RETRY: AttemptKind = AttemptKind::Retry;
const HOUR: Duration = Duration::from_secs(3_600);

fn percent(percent: f64) -> Arc<PercentageBudget> {
    let budget = PercentageBudget::new(percent).unwrap().floor(0);
    Arc::new(budget.window(HOUR).unwrap())
}

// CONTRACT T10; PEER-CASES TW-857
#[transports::test(start_paused = true)]
async fn of_calls_that_all_fail_the_percentage_and_no_more_is_sent_again() {
    for ratio in (10..=100_u32).step_by(5) {
        let server = Server::in_memory();
        server.script().always(method::UNARY, down());
        let budget = percent(f64::from(ratio));
        let mut client = spending!(server, budget, policy().max_attempts(3).unwrap());
        for _ in 0..100 {
            client.unary(declared()).await.unwrap_err();
        }
        let extra = server.count() - 100;
        assert_eq!(extra, usize::try_from(ratio).unwrap(), "{ratio} %");
        assert_eq!(budget.snapshot().spent(RETRY), u64::from(ratio));
    }
}

// CONTRACT T4, R17, T10: what calls paid in an hour ago is gone
#[transports::test(start_paused = true)]
async fn a_refused_call_returns_its_failure_at_once() {
    let server = Server::in_memory();
    let budget = percent(10.0);
    let mut client = spending!(server, budget, policy());
    for _ in 0..100 {
        client.unary(declared()).await.unwrap();
    }
    assert_eq!(budget.snapshot().tokens(), Some(10.0));
    server.script().always(method::UNARY, down());
    advance(HOUR).await;
    let start = tokio::time::Instant::now();
    let status = client.unary(declared()).await.unwrap_err();
    assert_down(&status, GiveUp::BudgetExhausted);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(budget.snapshot().denied(RETRY), 1);
}

// CONTRACT T10: no burst from cold
#[transports::test(start_paused = true)]
async fn a_cold_channel_whose_calls_all_fail_at_once_gets_the_floor() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, down());
    let budget = Arc::new(PercentageBudget::new(0.0).unwrap());
    let client = spending!(server, budget, policy());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut client = client.clone();
        calls.spawn(async move { client.unary(declared()).await.unwrap_err() });
    }
    calls.join_all().await;
    assert_eq!(server.count(), 101);
}

// CONTRACT T9, R13
#[transports::test(start_paused = true)]
async fn a_call_that_is_dropped_in_its_backoff_gives_back_what_it_took() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    let budget = percent(100.0);
    let mut client = spending!(server, budget, policy().backoff(every(SECOND)));
    timeout(ms(500), client.unary(declared()))
        .await
        .unwrap_err();
    assert_eq!(server.count(), 1);
    let snapshot = budget.snapshot();
    assert_eq!((snapshot.tokens(), snapshot.spent(RETRY)), (Some(1.0), 0));

    server.script().on(method::UNARY, failures(2));
    client.unary(declared()).await.unwrap();
    let snapshot = budget.snapshot();
    assert_eq!((snapshot.tokens(), snapshot.spent(RETRY)), (Some(0.0), 2));
}

// CONTRACT T10: extra load is a share of all calls
#[transports::test(start_paused = true)]
async fn calls_that_are_not_retried_count_as_calls() {
    let server = Server::in_memory();
    let budget = percent(20.0);
    let policies = Policies::new(policy())
        .method(method::UNARY_UNKNOWN, RetryPolicy::never())
        .unwrap();
    let stack = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(policies));
    let mut client = EchoClient::new(stack.service(server.channel()));
    let mut never = declared();
    never.call_options().never_retry();
    client.unary(never).await.unwrap();
    client.unary_unknown(declared()).await.unwrap();
    client.unary(undeclared()).await.unwrap();
    client.server_stream(declared()).await.unwrap();
    assert_eq!(budget.snapshot().tokens(), Some(0.8));
    server.script().on(method::UNARY, failures(1));
    client.unary(declared()).await.unwrap();
    assert_eq!(server.count(), 6);

    let mut none = declared();
    none.call_options().max_attempts(0);
    client.unary(none).await.unwrap_err();
    assert_eq!(budget.snapshot().tokens(), Some(0.0), "never made");
}

// CONTRACT T6, T10: a call counts once, however many attempts it takes, and a nested layer's not at all
#[transports::test(start_paused = true)]
async fn a_call_pays_in_once() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(3));
    let budget = percent(300.0);
    let stack = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(policy()))
        .layer(RetryLayer::new(policy()));
    let mut client = EchoClient::new(stack.service(server.channel()));
    client.unary(declared()).await.unwrap();
    assert_eq!(server.count(), 4);
    assert_eq!(budget.snapshot().tokens(), Some(0.0));
}
