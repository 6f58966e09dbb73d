//! Whose budget it is: one method's, a pattern's, a channel's, several channels'.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use grpc_resilience::budget::{BudgetLayer, PercentageBudget, TokenBucket};
use grpc_resilience::call::{self, AttemptKind, Budget, BudgetSnapshot};
use grpc_resilience::methods::InvalidPattern;
use grpc_resilience::retry::{Retry, RetryLayer};
use grpc_resilience::{Resilience, budget};
use http::Request;
use test_protos::EchoClient;
use testing::{Server, method};
use tower::{Layer as _, Service, ServiceBuilder};
use transports::Channel;

use super::{bucket, down};
use crate::support::{client, declared, every, failures, hello, ms, policy};

const RETRY: AttemptKind = AttemptKind::Retry;

fn under(layer: BudgetLayer, server: &Server) -> EchoClient<budget::Budget<Retry<Channel>>> {
    let stack = ServiceBuilder::new()
        .layer(layer)
        .layer(RetryLayer::new(policy()));
    EchoClient::new(stack.service(server.channel()))
}

fn names(snapshots: &[(String, BudgetSnapshot)]) -> Vec<&str> {
    snapshots.iter().map(|(name, _)| &**name).collect()
}

fn of(snapshots: &[(String, BudgetSnapshot)], name: &str) -> BudgetSnapshot {
    snapshots.iter().find(|(known, _)| known == name).unwrap().1
}

#[transports::test(start_paused = true)]
async fn a_method_that_fails_does_not_use_up_what_another_needs() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, down());
    let layer = BudgetLayer::per_method(|| TokenBucket::new(10, 0.1).unwrap());
    assert!(layer.snapshots().is_empty(), "made at the first call");
    let mut client = under(layer.clone(), &server);
    for _ in 0..3 {
        client.unary(declared()).await.unwrap_err();
    }
    let answers = [method::UNARY_UNKNOWN, method::SERVER_STREAM];
    server.script().on(method::UNARY_UNKNOWN, failures(1));
    client.unary_unknown(declared()).await.unwrap();
    assert_eq!(server.calls_to(answers[0]).len(), 2, "it was retried");
    client.server_stream(declared()).await.unwrap();

    let snapshots = layer.snapshots();
    let called = BTreeSet::from([method::UNARY, answers[0], answers[1]]);
    assert_eq!(names(&snapshots), Vec::from_iter(called));
    let unary = of(&snapshots, method::UNARY);
    assert_eq!((unary.spent(RETRY), unary.denied(RETRY)), (3, 2));
    assert_eq!(unary.tokens(), Some(4.0));
    let unknown = of(&snapshots, method::UNARY_UNKNOWN);
    assert_eq!((unknown.spent(RETRY), unknown.denied(RETRY)), (1, 0));
    assert_eq!(unknown.tokens(), Some(9.1));
}

#[transports::test(start_paused = true)]
async fn a_pattern_s_methods_share_its_budget_and_the_others_have_theirs() {
    let server = Server::in_memory();
    server.script().otherwise(down());
    let layer = BudgetLayer::new(bucket(100, 0.1))
        .method("/test.v1.Echo/Unary*", bucket(90, 0.1))
        .and_then(|layer| layer.method(method::UNARY_UNKNOWN, bucket(80, 0.1)))
        .and_then(|layer| layer.method("/test.v1.Echo/*", bucket(1, 0.1)))
        .and_then(|layer| layer.method("/test.v1.Echo/*", bucket(70, 0.1)))
        .unwrap();
    let mut client = under(layer.clone(), &server);
    client.unary(declared()).await.unwrap_err();
    client.unary_idempotent(declared()).await.unwrap_err();
    client.unary_unknown(declared()).await.unwrap_err();
    client.server_stream(declared()).await.unwrap_err();
    let snapshots = layer.snapshots();
    let tokens = |name| of(&snapshots, name).tokens().unwrap();
    assert_eq!(snapshots.len(), 4);
    assert!((tokens("/test.v1.Echo/Unary*") - 82.0).abs() < 1e-9);
    assert!((tokens(method::UNARY_UNKNOWN) - 76.0).abs() < 1e-9);
    assert!((tokens("/test.v1.Echo/*") - 66.0).abs() < 1e-9);
    assert!((tokens("/**") - 100.0).abs() < 1e-9);

    let all = layer.method("/**", bucket(60, 0.1)).unwrap();
    let snapshots = all.snapshots();
    assert_eq!(
        of(&snapshots, "/**").tokens(),
        Some(60.0),
        "no other is left"
    );
    assert_eq!(snapshots.len(), 4);
}

// Bad configuration
#[test]
fn a_pattern_that_is_no_method_is_refused() {
    let add = |pattern| BudgetLayer::unlimited().method(pattern, TokenBucket::default());
    let refused = add("orders").unwrap_err();
    assert_eq!(refused, InvalidPattern::NotAMethod("orders".into()));
    assert!(matches!(
        add("/a.A/Get[").unwrap_err(),
        InvalidPattern::Glob { .. }
    ));
}

// CONTRACT T1
#[transports::test(start_paused = true)]
async fn two_channels_can_share_a_percentage() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, down());
    let budget = Arc::new(PercentageBudget::new(25.0).unwrap().floor(0));
    let mut one = under(BudgetLayer::new(Arc::clone(&budget)), &server);
    let mut other = under(BudgetLayer::new(Arc::clone(&budget)), &server);
    for _ in 0..3 {
        one.unary(declared()).await.unwrap_err();
    }
    assert_eq!(server.count(), 3);
    other.unary(declared()).await.unwrap_err();
    assert_eq!(server.count(), 5, "the fourth call pays for a retry");
    assert_eq!(budget.snapshot().spent(RETRY), 1);
    assert_eq!(budget.snapshot().denied(RETRY), 4);
}

#[transports::test(start_paused = true)]
async fn the_budgets_of_a_whole_stack_are_to_be_seen_also_the_default_one() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, down());
    let built = Resilience::new()
        .idempotent("/test.v1.Echo/*")
        .unwrap()
        .retry(policy().backoff(every(ms(10))));
    let stack = built.wrap(server.channel());
    client(stack.clone()).unary(hello()).await.unwrap_err();
    let [(name, bucket)] = &stack.budgets()[..] else {
        panic!("one budget");
    };
    assert_eq!((&**name, bucket.tokens()), ("/**", Some(296.0)));
    assert_eq!((bucket.spent(RETRY), bucket.denied(RETRY)), (3, 0));
    let other = built.wrap(server.channel()).budgets();
    assert_eq!(of(&other, "/**").spent(RETRY), 0, "each wrap has its own");

    let layer = BudgetLayer::per_method(|| PercentageBudget::new(100.0).unwrap().floor(0));
    let by_method = built.clone().budget_layer(layer).wrap(server.channel());
    client(by_method.clone()).unary(hello()).await.unwrap_err();
    let budgets = by_method.budgets();
    assert_eq!(names(&budgets), [method::UNARY]);
    assert_eq!(of(&budgets, method::UNARY).spent(RETRY), 1);

    let unlimited = built.unlimited_budget().wrap(server.channel());
    client(unlimited.clone()).unary(hello()).await.unwrap_err();
    assert!(unlimited.budgets().is_empty());
}

/// Answers with the budget that it was handed.
#[derive(Clone)]
struct Handed;

impl Service<Request<()>> for Handed {
    type Response = Option<Arc<dyn Budget>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let context = request.extensions().get::<call::Context>();
        let budget = context.and_then(call::Context::budget);
        ready(Ok(budget.map(Arc::clone)))
    }
}

async fn handed(service: &mut budget::Budget<Handed>, path: &str) -> Arc<dyn Budget> {
    let request = Request::builder().uri(path).body(()).unwrap();
    service.call(request).await.unwrap().unwrap()
}

#[tokio::test]
async fn names_that_requests_make_up_end_in_one_budget_for_the_rest() {
    let layer = BudgetLayer::per_method(TokenBucket::default);
    let mut service = layer.layer(Handed);
    for number in 0..1_024 {
        handed(&mut service, &format!("/a.A/M{number}")).await;
    }
    assert_eq!(layer.snapshots().len(), 1_024);
    let rest = handed(&mut service, "/a.A/Next").await;
    let also = handed(&mut service, "/a.A/Another").await;
    assert!(Arc::ptr_eq(&rest, &also));
    let own = handed(&mut service, "/a.A/M7").await;
    let again = handed(&mut service, "/prefix/a.A/M7").await;
    assert!(Arc::ptr_eq(&own, &again) && !Arc::ptr_eq(&own, &rest));
    let snapshots = layer.snapshots();
    assert_eq!(snapshots.len(), 1_025);
    assert_eq!(names(&snapshots)[0], "/**");
}

#[test]
fn first_calls_of_a_method_at_once_have_the_same_budget() {
    for _ in 0..50 {
        let layer = BudgetLayer::per_method(TokenBucket::default);
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let mut service = layer.layer(Handed);
                let path = format!("/a.A/M{}", number % 2);
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                thread::spawn(move || {
                    let budget = runtime.block_on(handed(&mut service, &path));
                    budget.failed();
                })
            })
            .collect();
        for each in threads {
            each.join().unwrap();
        }
        let tokens: Vec<_> = layer
            .snapshots()
            .into_iter()
            .map(|(_, each)| each.tokens())
            .collect();
        assert_eq!(tokens, [Some(296.0), Some(296.0)]);
    }
}

/// A budget of a user's own that says nothing of itself.
#[derive(Debug)]
struct Silent;

impl Budget for Silent {
    fn succeeded(&self) {}
    fn failed(&self) {}

    fn permit(&self, _: AttemptKind) -> Option<call::Permit> {
        None
    }
}

#[test]
fn of_a_budget_that_keeps_no_account_nothing_is_known() {
    let layer = BudgetLayer::new(Arc::new(Silent));
    assert_eq!(of(&layer.snapshots(), "/**"), BudgetSnapshot::default());
    assert_eq!(of(&layer.snapshots(), "/**").tokens(), None);
}
