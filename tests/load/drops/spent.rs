//! What the budgets of this crate know of calls that are dropped at any point of their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::budget::{BudgetLayer, PercentageBudget, TokenBucket};
use grpc_resilience::call::AttemptKind;
use grpc_resilience::retry::RetryLayer;
use http::Request;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use test_protos::EchoClient;
use testing::{SECOND, Server};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::body::Body;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use crate::support::{alone, policy};

use super::calls::{answer, dropped};
use super::{ATTEMPT, BACKOFF};

const ROUNDS: u64 = 30;
const CALLS_OF_A_ROUND: u64 = 100;

// CONTRACT T9
#[test]
fn what_is_spent_is_what_was_started_of_calls_that_are_dropped_at_any_point() {
    alone(async {
        spends_what_is_started(BudgetLayer::new(PercentageBudget::new(40.0).unwrap())).await;
        spends_what_is_started(BudgetLayer::new(TokenBucket::new(1_000, 1.0).unwrap())).await;
    });
}

async fn spends_what_is_started(layer: BudgetLayer) {
    let server = Server::in_memory();
    let started = Arc::new(AtomicU64::new(0));
    let (channel, count) = (server.channel(), Arc::clone(&started));
    let transport = service_fn(move |request: Request<Body>| {
        let is_retry = request.headers().contains_key("grpc-previous-rpc-attempts");
        count.fetch_add(u64::from(is_retry), Ordering::Relaxed);
        channel.clone().oneshot(request)
    });
    let stack = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(RetryLayer::new(policy(BACKOFF)))
        .layer(AttemptTimeoutLayer::new(ATTEMPT).unwrap())
        .service(transport);
    let client = EchoClient::new(stack);
    for round in 0..ROUNDS {
        let mut calls = JoinSet::new();
        server.script().clear();
        for call in 0..CALLS_OF_A_ROUND {
            let mut rng = StdRng::seed_from_u64(round * CALLS_OF_A_ROUND + call);
            let script = server.script();
            script.next(answer(&mut rng)).next(answer(&mut rng));
            calls.spawn(dropped(client.clone(), rng));
        }
        drop(calls.join_all().await);
        sleep(SECOND).await;
        let [(_, snapshot)] = layer.snapshots().try_into().unwrap();
        let spent = snapshot.spent(AttemptKind::Retry);
        assert_eq!(spent, started.load(Ordering::Relaxed), "round {round}");
    }
    let [(_, snapshot)] = layer.snapshots().try_into().unwrap();
    eprintln!("{snapshot}");
    // The chance was a chance.
    assert!(snapshot.spent(AttemptKind::Retry) > 0);
}
