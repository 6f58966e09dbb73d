//! Servers and proxies that close their connections after some calls, over a raw peer.

use std::future::ready;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::classify::Progress;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::{Outcome, Plan, Policy};
use grpc_resilience::wait_for_ready::{ConnectivityState, WaitForReadyLayer};
use grpc_resilience::{BoxError, GiveUp, Resilience, RetryLayer, RetryPolicy};
use http::{Request, Response};
use http_body_util::Full;
use peer::{Connection, Gate, Headers, LastStream, Peer, Reason, Step, Stream};
use testing::method;
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tower::{Layer, ServiceBuilder, ServiceExt as _, service_fn};
use transports::Channel;

use crate::support::{SECOND, client, every, hello, ms};

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

fn channel(peer: &Peer) -> Channel {
    Channel::to(peer.uri())
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
#[transports::test]
async fn a_first_call_above_a_graceful_goaway_goes_again_at_once() {
    let peer = Peer::start([Connection::new().streams([above()])]).await;
    let start = Instant::now();
    let mut client = client(stack().wrap(channel(&peer)));
    client.unary(hello()).await.unwrap();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

// CONTRACT W9: nginx answers the calls up to its limit after it has refused those above
#[transports::test]
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
// Over tonic alone: it reads the layer's `Readiness`; over ours `Channel::snapshot` has the state.
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
#[transports::test]
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

/// Goes again 5 ms after each refusal.
#[derive(Debug)]
struct AfterRefusal;

impl Policy for AfterRefusal {
    fn decide(&self, outcome: &Outcome<'_>) -> Plan {
        match outcome.verdict.progress {
            Progress::Refused => Plan::transparent(ms(5)),
            _ => Plan::Stop(GiveUp::CodeNotRetryable),
        }
    }
}

/// How the channel says that a connection refused a call by a GOAWAY.
async fn refusal() -> BoxError {
    let peer = Peer::start([Connection::new().streams([above()])]).await;
    let request = Request::post(peer.uri() + method::UNARY);
    let request = request.body(Body::new(Full::from("0"))).unwrap();
    channel(&peer).oneshot(request).await.unwrap_err()
}

/// How long a call takes that so many connections refuse, while others are served all the time.
async fn refused_among_others(times: usize) -> Duration {
    let mut refusals = Vec::new();
    for _ in 0..times {
        refusals.push(refusal().await);
    }
    let refusals = Arc::new(Mutex::new(refusals));
    let channel = service_fn(move |request: Request<Body>| {
        let is_refused = request.uri().path() == method::UNARY;
        let refusal = is_refused.then(|| refusals.lock().unwrap().pop()).flatten();
        ready(refusal.map_or(Ok(Response::new(Body::empty())), Err))
    });
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(AfterRefusal))
        .layer(WaitForReadyLayer::new())
        .service(channel);
    tokio::time::pause();
    let call = |path: &str| {
        let mut request = Request::post(path).body(Body::empty()).unwrap();
        request.call_options().kind(MethodKind::Unary);
        stack.clone().oneshot(request)
    };
    let start = Instant::now();
    let mut refused = pin!(call(method::UNARY));
    loop {
        tokio::select! {
            biased;
            answer = &mut refused => {
                answer.unwrap();
                return start.elapsed();
            }
            () = sleep(ms(1)) => { call(method::UNARY_IDEMPOTENT).await.unwrap(); }
        }
    }
}

// CONTRACT W8
#[transports::test]
async fn a_call_that_two_connections_refused_goes_where_others_are_served() {
    let took = refused_among_others(2).await;
    assert!(took >= ms(10) && took <= ms(20), "{took:?}");
}

// CONTRACT W8
#[transports::test]
async fn a_call_that_three_connections_refused_waits_for_a_fresh_one_while_others_are_served() {
    let took = refused_among_others(3).await;
    assert!(took >= ms(115) && took <= ms(125), "{took:?}");
}
