//! The layer and the values it hands out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use grpc_resilience::GiveUp;
use grpc_resilience::budget::{BudgetLayer, InvalidBudget, TokenBucket};
use grpc_resilience::call::{AttemptKind, Budget, Permit};
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use test_protos::EchoClient;
use testing::{Server, method};
use tokio::time::timeout;
use tower::{Layer as _, ServiceBuilder};

use super::{assert_down, bucket, down, spending, tokens};
use crate::support::{declared, every, failures, ms, policy, retrying, undeclared};

// DESIGN decision 10
#[transports::test(start_paused = true)]
async fn clones_of_a_channel_share_one_budget_and_so_do_layers_with_the_same_bucket() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, down());
    let budget = bucket(6, 0.1);
    let one = spending!(server, budget, policy());
    let other_channel = spending!(server, budget, policy());
    let mut attempts = Vec::new();
    for mut client in [one.clone(), one, other_channel] {
        server.clear();
        let mut client_call = client.clone();
        let call = tokio::spawn(async move { client_call.unary(declared()).await });
        call.await.unwrap().unwrap_err();
        attempts.push(server.count());
        client.unary(declared()).await.unwrap_err();
    }
    assert_eq!(attempts, [3, 1, 1]);
}

// alone it changes nothing
#[transports::test(start_paused = true)]
async fn alone_the_layer_changes_nothing() {
    let server = Server::in_memory();
    let budget = bucket(2, 0.5);
    budget.failed();
    let alone = BudgetLayer::new(Arc::clone(&budget)).layer(server.channel());
    let mut clients = (EchoClient::new(server.channel()), EchoClient::new(alone));
    for answer in [down(), down().pushback("-1")] {
        server.script().on(method::UNARY, [answer.clone(), answer]);
        let plain = clients.0.unary(undeclared()).await.unwrap_err();
        let status = clients.1.unary(undeclared()).await.unwrap_err();
        assert_eq!(status.message(), plain.message());
        assert_eq!(status.metadata().len(), plain.metadata().len());
        assert_eq!(GiveUp::find(&status), None);
    }
    clients.1.unary(undeclared()).await.unwrap();
    let calls = server.calls();
    assert_eq!(calls.len(), 5);
    assert_eq!(calls[0].metadata, calls[1].metadata);
    assert_eq!(tokens(&budget), "1.000");

    // The same answer with a retry layer below does spend it.
    server.script().on(method::UNARY, [down()]);
    let mut client = spending!(server, budget, policy());
    client.unary(undeclared()).await.unwrap_err();
    assert_eq!(tokens(&budget), "0.000");
}

// CONTRACT T8; bad configuration
#[test]
fn a_bucket_that_can_not_be_is_refused_at_construction() {
    let refused = |max, ratio| TokenBucket::new(max, ratio).unwrap_err();
    assert_eq!(refused(0, 0.1), InvalidBudget::MaxTokens(0));
    assert_eq!(refused(1_001, 0.1), InvalidBudget::MaxTokens(1_001));
    assert_eq!(refused(10, 0.0), InvalidBudget::TokenRatio(0.0));
    assert_eq!(refused(10, -1.0), InvalidBudget::TokenRatio(-1.0));
    assert!(TokenBucket::new(1_000, 0.001).is_ok());
}

// DESIGN decision 10: an inner budget replaces an outer one's
#[transports::test(start_paused = true)]
async fn the_inner_of_two_budgets_is_spent() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    let (outer, inner) = (bucket(10, 0.1), bucket(10, 0.1));
    let channel = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&outer)))
        .layer(BudgetLayer::new(Arc::clone(&inner)))
        .layer(BudgetLayer::unlimited())
        .layer(RetryLayer::new(policy()))
        .service(server.channel());
    EchoClient::new(channel).unary(declared()).await.unwrap();
    assert_eq!(
        (tokens(&outer), tokens(&inner)),
        ("10.000".into(), "9.100".into())
    );
}

// DESIGN decision 4: absent budget = unlimited
#[transports::test(start_paused = true)]
async fn without_a_budget_nothing_is_denied() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, down());
    let endless = policy().max_attempts(500).unwrap();
    let status = retrying(&server, endless)
        .unary(declared())
        .await
        .unwrap_err();
    assert_down(&status, GiveUp::AttemptsExhausted);
    assert_eq!(server.count(), 500);
}

/// A budget of a user's own, which takes one at each permit.
#[derive(Debug, Default)]
struct Withdrawn {
    taken: AtomicU32,
    refunds: Arc<AtomicU32>,
}

impl Budget for Withdrawn {
    fn succeeded(&self) {}
    fn failed(&self) {}

    fn permit(&self, _: AttemptKind) -> Option<Permit> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let refunds = Arc::clone(&self.refunds);
        Some(Permit::refundable(Arc::new(move || {
            refunds.fetch_add(1, Ordering::Relaxed);
        })))
    }
}

// CONTRACT T9, R13
#[transports::test(start_paused = true)]
async fn a_permit_is_spent_by_its_attempt_and_given_back_by_a_call_that_is_dropped_before() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(2));
    let budget = Arc::new(Withdrawn::default());
    let slow: RetryPolicy = policy().backoff(every(ms(1_000)));
    let mut client = spending!(server, budget, slow);
    let refunds = Arc::clone(&budget.refunds);

    // The first wait ends in an attempt, the second is cut short.
    let call = timeout(ms(1_500), client.unary(declared())).await;
    call.unwrap_err();
    assert_eq!(budget.taken.load(Ordering::Relaxed), 2);
    assert_eq!(refunds.load(Ordering::Relaxed), 1);

    server.script().on(method::UNARY, failures(1));
    client.unary(declared()).await.unwrap();
    assert_eq!(budget.taken.load(Ordering::Relaxed), 3);
    assert_eq!(refunds.load(Ordering::Relaxed), 1);
}
