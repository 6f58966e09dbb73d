//! The layer among others: what reaches every attempt, and in which orders it works.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::Context;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::idempotency::IdempotencyLayer;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use http::Request;
use test_protos::EchoClient;
use testing::{Server, method};
use tonic::body::Body;
use tower::ServiceBuilder;

use crate::support::{
    declared, failures, ms, policy, previous_attempts, unavailable, undeclared, waits,
};

/// An extension of the user's own.
#[derive(Clone, Debug, PartialEq)]
struct Tenant(&'static str);

/// What a user's layer below the retry layer sees of each attempt.
type Seen = Arc<Mutex<Vec<(Option<Tenant>, Option<u32>)>>>;

fn looking(seen: &Seen) -> impl Fn(Request<Body>) -> Request<Body> + Clone + use<> {
    let seen = Arc::clone(seen);
    move |request| {
        let tenant = request.extensions().get::<Tenant>().cloned();
        let attempt = request.extensions().get::<Context>().unwrap().attempt();
        seen.lock().unwrap().push((tenant, attempt));
        request
    }
}

// PEER-CASES CORE-send-initial-metadata
#[transports::test(start_paused = true)]
async fn metadata_extensions_and_message_reach_every_attempt() {
    let server = Server::in_memory();
    server.script().on(
        method::UNARY,
        failures(2)
            .into_iter()
            .map(testing::Answer::reading_request),
    );
    let seen = Seen::default();
    let channel = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .map_request(looking(&seen))
        .service(server.channel());
    let mut request = declared();
    "hello".clone_into(&mut request.get_mut().text);
    request
        .metadata_mut()
        .insert("x-user", "ann".parse().unwrap());
    request.metadata_mut().insert_bin(
        "x-trace-bin",
        tonic::metadata::BinaryMetadataValue::from_bytes(&[0, 255]),
    );
    request.extensions_mut().insert(Tenant("acme"));
    let answer = EchoClient::new(channel).unary(request).await.unwrap();
    assert_eq!(answer.get_ref().text, "hello");

    let tenant = Some(Tenant("acme"));
    let attempts = [1, 2, 3].map(|attempt| (tenant.clone(), Some(attempt)));
    assert_eq!(*seen.lock().unwrap(), attempts);
    let calls = server.calls();
    assert_eq!(calls.len(), 3);
    for call in &calls {
        assert_eq!(call.header("x-user"), Some("ann"));
        assert_eq!(
            call.metadata["x-trace-bin"],
            calls[0].metadata["x-trace-bin"]
        );
        assert_eq!(call.request, calls[0].request);
        assert_eq!(call.messages().len(), 1);
        assert!(call.request_ended);
        assert!(call.header("content-length").is_none());
    }
}

// PEER-CASES MW-chained
#[transports::test(start_paused = true)]
async fn attempts_of_two_retry_layers_do_not_multiply() {
    for (outer, inner) in [(3, 5), (5, 3), (1, 4)] {
        let server = Server::in_memory();
        server.script().always(method::UNARY, unavailable("down"));
        let layer = |attempts| RetryLayer::new(policy().max_attempts(attempts).unwrap());
        let channel = ServiceBuilder::new()
            .layer(layer(outer))
            .layer(layer(inner))
            .service(server.channel());
        let status = EchoClient::new(channel)
            .unary(declared())
            .await
            .unwrap_err();
        assert_eq!(status.message(), "down");
        let calls = server.calls();
        assert_eq!(u32::try_from(calls.len()), Ok(outer));
        let numbers: Vec<_> = (1..outer).map(|number| number.to_string()).collect();
        let sent: Vec<_> = previous_attempts(&calls).into_iter().flatten().collect();
        assert_eq!(sent, numbers);
    }
}

/// Three attempts through a stack: two failures, then OK. The stack declares the method.
macro_rules! survives {
    ($server:expr, $stack:expr) => {{
        $server.clear();
        $server.script().on(method::UNARY, failures(2));
        let mut client = EchoClient::new($stack.service($server.channel()));
        let mut request = undeclared();
        request.set_timeout(Duration::from_secs(5));
        tokio::spawn(async move { client.unary(request).await })
            .await
            .unwrap()
            .unwrap();
        assert_eq!(waits(&$server.calls()), [10, 10]);
    }};
}

// together, in any order that makes sense
#[transports::test(start_paused = true)]
async fn works_in_every_order_that_makes_sense() {
    let server = Server::in_memory();
    let retry = || RetryLayer::new(policy());
    let declare = || IdempotencyLayer::new().idempotent(method::UNARY).unwrap();
    let budget = || BudgetLayer::new(TokenBucket::default());
    let deadline = || DeadlineLayer::new().default_timeout(ms(9_000));
    let wait = WaitForReadyLayer::new;
    let stack = ServiceBuilder::new;

    survives!(server, stack().layer(declare()).layer(retry()));
    survives!(
        server,
        stack().layer(declare()).layer(budget()).layer(retry())
    );
    survives!(
        server,
        stack().layer(budget()).layer(declare()).layer(retry())
    );
    survives!(
        server,
        stack().layer(deadline()).layer(declare()).layer(retry())
    );
    survives!(
        server,
        stack().layer(declare()).layer(retry()).layer(deadline())
    );
    survives!(
        server,
        stack().layer(declare()).layer(retry()).layer(wait())
    );
    survives!(
        server,
        stack().layer(declare()).layer(wait()).layer(retry())
    );
    survives!(
        server,
        stack()
            .layer(budget())
            .layer(deadline())
            .layer(declare())
            .layer(retry())
            .layer(wait())
    );
}

// The layers speak through the context, also past a foreign layer
#[transports::test(start_paused = true)]
async fn works_among_a_third_party_s_layers() {
    let server = Server::in_memory();
    let foreign = |request: Request<Body>| request;
    survives!(
        server,
        ServiceBuilder::new()
            .layer(IdempotencyLayer::new().idempotent(method::UNARY).unwrap())
            .map_request(foreign)
            .layer(RetryLayer::new(policy()))
            .map_request(foreign)
    );
}

// CONTRACT R11: retries happen above whatever picks a connection
#[transports::test(start_paused = true)]
async fn each_attempt_may_go_to_another_server() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let servers = [Server::in_memory(), Server::in_memory()];
    servers[0].script().otherwise(unavailable("draining"));
    let channels = servers.each_ref().map(Server::channel);
    let turn = Arc::new(AtomicUsize::new(0));
    let in_turn = tower::service_fn(move |request: Request<Body>| {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        tower::ServiceExt::oneshot(channels[turn % 2].clone(), request)
    });
    let channel = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .service(in_turn);
    EchoClient::new(channel).unary(declared()).await.unwrap();
    assert_eq!(servers.each_ref().map(Server::count), [1, 1]);
}
