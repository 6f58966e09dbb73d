//! Servers and proxies that close their connections after some calls, over a raw peer.

use std::time::Duration;

use grpc_resilience::wait_for_ready::{ConnectivityState, WaitForReadyLayer};
use grpc_resilience::{Resilience, RetryPolicy};
use peer::{Connection, Gate, Headers, LastStream, Peer, Reason, Step, Stream};
use testing::method;
use tokio::time::Instant;
use tonic::transport::Endpoint;
use tower::Layer;

use crate::common::{every, ms};
use crate::support::{SECOND, client, hello};

/// A backoff that nothing here may have to wait for.
fn waiting() -> WaitForReadyLayer {
    WaitForReadyLayer::new().backoff(every(60 * SECOND))
}

/// Unary calls that go again as often as a GOAWAY refuses them.
fn stack() -> Resilience {
    let often = RetryPolicy::new().max_attempts(100).unwrap();
    Resilience::new()
        .unary(method::UNARY)
        .unwrap()
        .retry(often.backoff(every(ms(1))))
        .unlimited_budget()
        .wait_for_ready(waiting())
}

fn channel(peer: &Peer) -> tonic::transport::Channel {
    Endpoint::from_shared(peer.uri()).unwrap().connect_lazy()
}

/// What a stream meets that is above a graceful GOAWAY.
fn above() -> Stream {
    Stream::new()
        .then(Step::AwaitRequest)
        .then(Step::GoAway(LastStream::Below, Reason::NO_ERROR))
}

/// Far more than any of it takes, and far less than the backoff.
const SOON: Duration = Duration::from_secs(20);

// CONTRACT W9
#[tokio::test]
async fn a_first_call_above_a_graceful_goaway_goes_again_at_once() {
    let peer = Peer::start([Connection::new().streams([above()])]).await;
    let start = Instant::now();
    let mut client = client(stack().wrap(channel(&peer)));
    client.unary(hello()).await.unwrap();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

// CONTRACT W9: nginx answers the calls up to its limit after it has refused those above
#[tokio::test]
async fn a_call_above_a_graceful_goaway_goes_at_once_while_another_is_served() {
    let gate = Gate::new();
    let served = Stream::new()
        .then(Step::AwaitRequest)
        .then(Step::Gate(gate.clone()))
        .then(Step::Headers(Headers::response()))
        .then(Step::message(b""))
        .then(Step::Headers(Headers::trailers(0)));
    let peer = Peer::start([Connection::new().streams([served, above()])]).await;
    let stack = stack().wrap(channel(&peer));
    let mut first = client(stack.clone());
    let first = tokio::spawn(async move { first.unary(hello()).await });
    peer.wait_for_streams(1).await;
    let start = Instant::now();
    client(stack).unary(hello()).await.unwrap();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    gate.open();
    first.await.unwrap().unwrap();
}

// CONTRACT W9, W1
#[tokio::test]
async fn a_graceful_goaway_makes_no_transient_failure() {
    let peer = Peer::start([
        Connection::new().streams([above()]),
        Connection::new().streams([above()]),
    ])
    .await;
    let stack = WaitForReadyLayer::new()
        .fail_fast()
        .backoff(every(ms(200)))
        .layer(channel(&peer));
    let readiness = stack.readiness();
    for _ in 0..2 {
        client(stack.clone()).unary(hello()).await.unwrap_err();
        assert_eq!(readiness.state(), ConnectivityState::Idle);
        let now = readiness.snapshot();
        assert!(
            now.failing_since.is_none() && now.last_error.is_some(),
            "{now}"
        );
    }
    // A call that fails fast waits for the next connection, though it is not dialled at once.
    client(stack).unary(hello()).await.unwrap();
    assert_eq!(peer.connections(), 3);
}

// CONTRACT W9: as `keepalive_requests 4` does with eight callers
#[tokio::test]
async fn a_proxy_that_closes_each_connection_after_a_few_calls_costs_no_backoff() {
    let answered = Stream::ok(b"");
    let few = || {
        let streams = (0..4).map(|_| answered.clone());
        Connection::new().streams(streams).other_streams(above())
    };
    let peer = Peer::always(few()).await;
    let stack = stack().wrap(channel(&peer));
    let start = Instant::now();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let mut client = client(stack.clone());
            tokio::spawn(async move {
                for _ in 0..10 {
                    client.unary(hello()).await.unwrap();
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

// CONTRACT W8, X2: as nginx with `keepalive_requests 4` and sixteen callers
#[tokio::test]
async fn no_call_is_refused_by_one_connection_after_the_other_while_new_ones_are_served() {
    let few = Connection::new()
        .streams((0..4).map(|_| Stream::ok(b"")))
        .other_streams(above());
    let peer = Peer::always(few).await;
    let stack = Resilience::new()
        .unary(method::UNARY)
        .unwrap()
        .retry(
            RetryPolicy::new()
                .max_attempts(2)
                .unwrap()
                .backoff(every(ms(1))),
        )
        .wait_for_ready(waiting())
        .wrap(channel(&peer));
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let mut client = client(stack.clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    client.unary(hello()).await.unwrap();
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}
