//! What keeps a call off the fast path, because a layer has to act on it: a key, an attempt
//! timeout, and layers around the stack.

use grpc_resilience::__internal;
use grpc_resilience::__internal::parse_timeout;
use grpc_resilience::call::{AttemptKind, Budget, CallOptionsExt as _, Deadline, Permit};
use grpc_resilience::grpc::Code;
use grpc_resilience::{
    AttemptTimeoutLayer, DeadlineLayer, GiveUp, IdempotencyKey, Resilience, RetryLayer,
};
use http::Request;
use peer::{Headers, Step, Stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::time::Instant;
use tonic::body::Body;
use tower::Layer as _;
use tower::util::MapRequest;

use super::super::support::{channel, request};
use super::{SECOND, call, declared, policy, streams, then};

const UNARY: &str = "/test.v1.Echo/Unary";

fn unavailable() -> Stream {
    Stream::status(14, "down")
}

fn keys(peer: &peer::Peer) -> Vec<Option<String>> {
    let streams = peer.streams_seen();
    let key = |stream: &peer::SeenStream| stream.field("idempotency-key").map(str::to_owned);
    streams.iter().map(key).collect()
}

// The page of `idempotency`: one key for all attempts of a call, another for each call
#[transports::test(start_paused = true)]
async fn a_call_of_a_keyed_method_carries_its_key_and_is_repeated_under_it() {
    let peer = then([unavailable(), Stream::ok(b"")]).await;
    let key = IdempotencyKey::random().deduplicated();
    let stack = Resilience::new().key(UNARY, key).unwrap();
    let stack = stack.retry(policy()).wrap(channel(&peer));
    call(&stack, request()).await.unwrap();
    let keys = keys(&peer);
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(Option::is_some), "{keys:?}");
    assert_eq!(keys[1], keys[2]);
    assert_ne!(keys[0], keys[1]);
}

/// Undeclared calls, whose only attempt hangs.
async fn is_bounded(stack: Resilience, request: Request<Body>) {
    let peer = then([Stream::stall()]).await;
    let stack = stack.wrap(channel(&peer));
    let start = Instant::now();
    let error = call(&stack, request).await.map(drop).unwrap_err();
    assert_eq!(error.give_up(), Some(GiveUp::NotIdempotent), "{error}");
    let took = start.elapsed();
    assert!((SECOND..SECOND * 11 / 10).contains(&took), "{took:?}");
    assert_eq!(streams(&peer).len(), 1);
}

// The page of `attempt_timeout`
#[transports::test(start_paused = true)]
async fn an_attempt_is_bounded_by_the_layer_s_timeout_or_by_the_call_s() {
    let bound = AttemptTimeoutLayer::new(SECOND).unwrap();
    is_bounded(Resilience::new().attempt_timeout(bound), request()).await;
    let mut of_the_call = request();
    of_the_call.call_options().attempt_timeout(SECOND);
    is_bounded(Resilience::new(), of_the_call).await;
}

/// Counts what it is told.
#[derive(Debug, Default)]
struct Told {
    began: AtomicU32,
    permits: AtomicU32,
}

impl Budget for Told {
    fn call_started(&self) {
        self.began.fetch_add(1, Ordering::Relaxed);
    }

    fn succeeded(&self) {}

    fn failed(&self) {}

    fn permit(&self, _: AttemptKind) -> Option<Permit> {
        self.permits.fetch_add(1, Ordering::Relaxed);
        Some(Permit::free())
    }
}

// FIELD 7.14; CONTRACT R1, R10
#[transports::test(start_paused = true)]
async fn below_an_outer_retry_layer_a_stack_repeats_nothing_by_itself() {
    let peer = then([unavailable(), unavailable(), unavailable(), unavailable()]).await;
    let told = Arc::new(Told::default());
    let inner = Resilience::new().budget(Arc::clone(&told)).retry(policy());
    let outer = RetryLayer::new(policy().max_attempts(3).unwrap());
    let stack = outer.layer(inner.wrap(channel(&peer)));
    let error = call(&stack, declared()).await.map(drop).unwrap_err();
    assert_eq!(error.give_up(), Some(GiveUp::AttemptsExhausted), "{error}");
    assert_eq!(error.attempts(), 3);
    let previous: Vec<_> = streams(&peer)
        .iter()
        .map(|stream| {
            stream
                .field("grpc-previous-rpc-attempts")
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(previous, [None, Some("1".into()), Some("2".into())]);
    assert_eq!(told.permits.load(Ordering::Relaxed), 0);
}

// The same; an outer stack whose call is on its own fast path writes nothing down
#[transports::test(start_paused = true)]
async fn below_an_outer_stack_a_stack_repeats_nothing_by_itself() {
    let peer = then([unavailable(), unavailable(), unavailable(), unavailable()]).await;
    let inner = Resilience::new().retry(policy()).wrap(channel(&peer));
    let three = policy().max_attempts(3).unwrap();
    let stack = Resilience::new().retry(three).wrap(inner);
    let error = call(&stack, declared()).await.map(drop).unwrap_err();
    assert_eq!(error.give_up(), Some(GiveUp::AttemptsExhausted), "{error}");
    assert_eq!(error.attempts(), 3);
    assert_eq!(streams(&peer).len(), 3);
}

type Bind = fn(Request<Body>) -> Request<Body>;

/// Bounds its calls by a second, as a layer of the user's own does it.
fn bounded<S>(stack: S) -> MapRequest<S, Bind> {
    MapRequest::new(stack, |mut request| {
        let deadline = Deadline::after(Instant::now(), SECOND);
        __internal::bound(request.extensions_mut(), deadline);
        request
    })
}

// CONTRACT D9, D5
#[transports::test(start_paused = true)]
async fn a_deadline_that_a_layer_of_the_user_s_own_sets_ends_the_call() {
    // In its first attempt, and in a later one.
    for streams in [vec![], vec![unavailable()]] {
        let peer = then(streams.into_iter().chain([Stream::stall()])).await;
        let stack = bounded(Resilience::new().retry(policy()).wrap(channel(&peer)));
        let start = Instant::now();
        let error = call(&stack, declared()).await.map(drop).unwrap_err();
        assert_eq!(error.give_up(), Some(GiveUp::Deadline), "{error}");
        let took = start.elapsed();
        assert!((SECOND..SECOND * 11 / 10).contains(&took), "{took:?}");
    }
}

// CONTRACT R14, D9
#[transports::test(start_paused = true)]
async fn below_an_outer_deadline_a_stack_begins_no_wait_that_would_pass_it() {
    let pushback = Headers::trailers_only(14).with("grpc-retry-pushback-ms", "1500");
    let peer = then([Stream::from([Step::Headers(pushback)])]).await;
    let stack = DeadlineLayer::new()
        .default_timeout(SECOND)
        .layer(Resilience::new().retry(policy()).wrap(channel(&peer)));
    let start = Instant::now();
    let error = call(&stack, declared()).await.map(drop).unwrap_err();
    assert_eq!(error.give_up(), Some(GiveUp::HintPastDeadline));
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(start.elapsed() < SECOND / 10);
}

// CONTRACT D2: each attempt is told what is left, not what there was
#[transports::test(start_paused = true)]
async fn below_an_outer_deadline_each_attempt_is_told_what_is_left() {
    let peer = then([unavailable(), Stream::stall()]).await;
    let stack = DeadlineLayer::new()
        .default_timeout(SECOND)
        .layer(Resilience::new().retry(policy()).wrap(channel(&peer)));
    let start = Instant::now();
    let error = call(&stack, declared()).await.map(drop).unwrap_err();
    assert_eq!(error.give_up(), Some(GiveUp::Deadline));
    let took = start.elapsed();
    assert!((SECOND..SECOND * 11 / 10).contains(&took), "{took:?}");
    let left: Vec<_> = streams(&peer)
        .iter()
        .map(|stream| stream.field("grpc-timeout").unwrap().as_bytes().to_vec())
        .map(|timeout| parse_timeout(&timeout).unwrap())
        .collect();
    assert_eq!(left.len(), 2);
    assert!(left[1] + SECOND / 10 <= left[0], "{left:?}");
}
