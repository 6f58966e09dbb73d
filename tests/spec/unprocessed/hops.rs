//! Over two hops, with a tonic server in the middle whose handler hands a failure on as it came.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use grpc_resilience::rate_limit::{Quota, ServerRateLimitBody, ServerRateLimitLayer};
use grpc_resilience::retry::RetryPolicy;
use grpc_resilience::server_deadline::ServerDeadlineLayer;
use grpc_resilience::{GiveUp, RetryLayer};
use test_protos::{EchoRequest, EchoServer};
use testing::Server;
use tonic::body::Body;
use tonic::service::LayerExt as _;
use tonic::{Code, Status};
use tower::{Layer as _, ServiceBuilder};

use super::trusting;
use crate::rate_limit::raw_service::serve;
use crate::server_deadline::closures::Front;
use crate::support::{Stack, client, ms, policy, previous_attempts, undeclared, waits};

fn exhausted() -> RetryPolicy {
    policy().retry_on(Code::ResourceExhausted)
}

/// A server that lets one call through every 100 ms.
fn backend() -> Server {
    serve(ServerRateLimitLayer::new(
        Quota::every(ms(100)).unwrap().burst(1).unwrap(),
    ))
}

/// Does something, and then calls the backend.
fn middle(effects: &Arc<AtomicUsize>, backend: impl Stack + Sync, same_path: bool) -> Front {
    let effects = Arc::clone(effects);
    Front::unary(move |_| {
        effects.fetch_add(1, Ordering::Relaxed);
        let mut backend = client(backend.clone());
        async move {
            let request = EchoRequest::default();
            let answer = if same_path {
                backend.unary(request).await?
            } else {
                backend.unary_idempotent(request).await?
            };
            Ok(answer.into_inner())
        }
    })
}

/// One undeclared call over this server in the middle: how it ends.
async fn call_over(middle: &Server) -> Result<(), Status> {
    let layered = trusting(exhausted()).layer(middle.channel());
    client(layered).unary(undeclared()).await.map(drop)
}

/// Uses up what the backend lets through.
async fn exhaust(backend: &Server) {
    client(backend.channel()).unary(undeclared()).await.unwrap();
}

// CONTRACT I7
// Over tonic alone: ours believes the server without a setting (I7).
#[tokio::test(start_paused = true)]
async fn what_a_limited_server_refuses_comes_back_undeclared_and_on_time() {
    let backend = backend();
    exhaust(&backend).await;
    backend.clear();
    call_over(&backend).await.unwrap();
    let calls = backend.calls();
    assert_eq!(previous_attempts(&calls), [None, Some("1")]);
    assert_eq!(waits(&calls), [100]);
    let ran = calls.iter().filter(|call| call.handler_ran).count();
    assert!(ran <= 2);
    let untrusting = RetryLayer::new(exhausted()).layer(backend.channel());
    let status = client(untrusting).unary(undeclared()).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
}

// CONTRACT I7, I4
#[transports::test(start_paused = true)]
async fn a_forwarded_refusal_does_not_vouch_for_the_call_in_the_middle() {
    let bare = |backend: &Server| backend.channel();
    let ours = |backend: &Server| RetryLayer::new(RetryPolicy::never()).layer(backend.channel());
    for case in 0..5 {
        let (backend, effects) = (backend(), Arc::new(AtomicUsize::new(0)));
        exhaust(&backend).await;
        let plain = |front: Front| {
            Server::builder()
                .service(EchoServer::new(front))
                .in_memory()
        };
        let limited = |front: Front| {
            let boxed = |answer: http::Response<ServerRateLimitBody<_>>| answer.map(Body::new);
            let layers = ServiceBuilder::new()
                .map_response(boxed)
                .layer(ServerRateLimitLayer::unlimited());
            Server::builder()
                .service(layers.named_layer(EchoServer::new(front)))
                .in_memory()
        };
        let (name, middle, is_once) = match case {
            0 => (
                "under ServerDeadlineLayer",
                middle(&effects, bare(&backend), true).serve_under(ServerDeadlineLayer::new()),
                true,
            ),
            1 => (
                "under ServerRateLimitLayer",
                limited(middle(&effects, bare(&backend), true)),
                true,
            ),
            2 => (
                "through a layer of ours",
                plain(middle(&effects, ours(&backend), true)),
                true,
            ),
            3 => (
                "another path",
                plain(middle(&effects, bare(&backend), false)),
                true,
            ),
            // The risk that the page on `trust_unprocessed` names; it shows that the others can
            // fail.
            _ => (
                "the same path without any layer",
                plain(middle(&effects, bare(&backend), true)),
                false,
            ),
        };
        let called = call_over(&middle).await;
        let ran = effects.load(Ordering::Relaxed);
        assert_eq!(ran == 1, is_once, "{name}: {ran} times");
        if is_once {
            let status = called.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted, "{name}");
            assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent), "{name}");
        }
    }
}

// CONTRACT I7: what expired on its way was never begun
// Over tonic alone: over ours a request without time never leaves.
#[tokio::test(start_paused = true)]
async fn a_call_that_had_expired_when_it_came_goes_again_undeclared() {
    use grpc_resilience::retry::{BeforeAttempt, NextAttempt};

    let effects = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&effects);
    let server = Front::unary(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(test_protos::EchoResponse::default()) }
    })
    .serve();
    // The first attempt says that it has no time left, as one that was held up on its way would.
    let late = BeforeAttempt::new(|mut next: NextAttempt| async move {
        let left = if next.number() == 1 { "0m" } else { "9S" };
        next.headers_mut().insert("grpc-timeout", left.parse()?);
        Ok(next)
    });
    let policy = policy().retry_on(Code::DeadlineExceeded);
    let layered = trusting(policy)
        .before_attempt(late)
        .layer(server.channel());
    let call = client(layered);
    let mut call = call;
    tokio::time::timeout(Duration::from_secs(60), call.unary(undeclared()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(effects.load(Ordering::Relaxed), 1);
    assert_eq!(server.count(), 2);
}
