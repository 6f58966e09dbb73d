//! What costs no allocation, counted.
#![cfg(test)]

// The bench's call and server: what is counted here is what is measured there.
#[path = "../benches/src/call.rs"]
#[allow(unreachable_pub, reason = "public in the benches' library")]
mod call;
#[path = "../benches/src/server.rs"]
#[allow(unreachable_pub, reason = "public in the benches' library")]
mod server;

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use grpc_resilience::__internal;
use grpc_resilience::Resilience;
use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::call::{AttemptKind, Budget as _};
use grpc_resilience::channel::Channel;
use grpc_resilience::idempotency::IdempotencyLayer;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use test_protos::{EchoClient, EchoRequest};
use testing::Server;
use tokio::runtime;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::{Layer as _, Service, ServiceExt as _};
use transports::Transport;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    pairs.collect()
}

#[test]
fn classifying_a_success_allocates_nothing() {
    let head = headers(&[("content-type", "application/grpc"), ("x-zone", "b")]);
    let trailers_only = headers(&[("content-type", "application/grpc"), ("grpc-status", "0")]);
    let trailers = headers(&[("grpc-status", "0"), ("x-zone", "b")]);
    let counted = measure(|| {
        assert!(__internal::head(StatusCode::OK, &head).is_none());
        assert!(__internal::head(StatusCode::OK, &trailers_only).is_none());
        assert!(__internal::trailers(&trailers).is_none());
    });
    assert_eq!(counted.count_total, 0);

    let failed = headers(&[("grpc-status", "14")]);
    let counted = measure(|| assert!(__internal::trailers(&failed).is_some()));
    assert_ne!(counted.count_total, 0, "or nothing is counted at all");
}

#[derive(Clone)]
struct Nothing;

impl Service<Request<()>> for Nothing {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(()))
    }
}

// DESIGN decision 15
#[test]
fn a_method_of_which_nothing_is_declared_passes_the_idempotency_layer_without_an_allocation() {
    let layer = IdempotencyLayer::new()
        .idempotent("/orders.v1.Orders/Put")
        .and_then(|layer| layer.no_side_effects("/orders.v1.Orders/Get*"))
        .unwrap();
    let mut service = layer.layer(Nothing);
    let request = |path: &str| Request::builder().uri(path).body(()).unwrap();
    let (undeclared, declared) = (
        request("/orders.v1.Orders/Create"),
        request("/orders.v1.Orders/Get"),
    );
    let counted = measure(|| {
        let _answer = service.call(undeclared);
    });
    // The request's own memory is freed, none is taken.
    assert_eq!(counted.count_total, 0);
    let counted = measure(|| {
        let _answer = service.call(declared);
    });
    assert_ne!(counted.count_total, 0, "the context is written");
}

// DESIGN decision 15
#[test]
fn a_budget_by_method_costs_no_more_memory_than_one_for_all_once_the_method_was_called() {
    let counted = |layer: BudgetLayer| {
        let mut service = layer.layer(Nothing);
        let request = || {
            let request = Request::builder().uri("/orders.v1.Orders/Get");
            request.body(()).unwrap()
        };
        let _first = service.call(request());
        let second = request();
        measure(|| {
            let _answer = service.call(second);
        })
    };
    let one_for_all = counted(BudgetLayer::new(TokenBucket::default())).count_total;
    let by_method = counted(BudgetLayer::per_method(TokenBucket::default)).count_total;
    assert_eq!(by_method, one_for_all);
    assert_eq!(counted(BudgetLayer::unlimited()).count_total, 0);
}

#[test]
fn a_permit_of_the_token_bucket_costs_no_memory() {
    let bucket = TokenBucket::default();
    let counted = measure(|| {
        bucket.permit(AttemptKind::Retry).unwrap().start();
        drop(bucket.permit(AttemptKind::Hedge));
    });
    assert_eq!(counted.count_total, 0);
}

#[derive(Clone)]
struct Answering;

impl Service<Request<Body>> for Answering {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

// DESIGN decision 15
#[tokio::test(start_paused = true)]
async fn an_attempt_that_nothing_bounds_passes_the_attempt_timeout_layer_without_an_allocation() {
    let answered = |layer: AttemptTimeoutLayer| {
        let mut service = layer.layer(Answering);
        let mut cx = Context::from_waker(Waker::noop());
        let request = Request::new(Body::empty());
        assert!(service.poll_ready(&mut cx).is_ready());
        measure(|| {
            let mut call = pin!(service.call(request));
            assert!(call.as_mut().poll(&mut cx).is_ready());
        })
    };
    assert_eq!(answered(AttemptTimeoutLayer::default()).count_total, 0);
    let bounded = AttemptTimeoutLayer::new(Duration::from_secs(1)).unwrap();
    assert_ne!(answered(bounded).count_total, 0, "the timer");
}

// DESIGN decision 15
#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_held_back_passes_the_adaptive_throttle_without_an_allocation() {
    let mut service = AdaptiveThrottleLayer::new().layer(Answering);
    let mut cx = Context::from_waker(Waker::noop());
    let request = Request::new(Body::empty());
    assert!(service.poll_ready(&mut cx).is_ready());
    let counted = measure(|| {
        let mut call = pin!(service.call(request));
        assert!(call.as_mut().poll(&mut cx).is_ready());
    });
    assert_eq!(counted.count_total, 0);
    assert_eq!(service.throttle().snapshot().accepts, 1);
}

/// Answers with a message.
#[derive(Clone)]
struct Answerer;

impl server::Handler for Answerer {
    const NAME: &'static str = "bench.v1.Orders";

    fn answer(
        &self,
        _request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send + 'static {
        ready(call::response())
    }
}

/// How often a call over this channel asks for memory on the client's thread, where the server has
/// a thread of its own.
fn of_a_call<S, R>(runtime: &tokio::runtime::Runtime, mut channel: S) -> f64
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = bytes::Bytes, Error: Into<Failure>>,
{
    const CALLS: u32 = 200;
    let mut calls = || {
        runtime.block_on(async {
            for _ in 0..CALLS {
                let service = channel.ready().await.unwrap();
                let answer = service.call(call::request()).await.unwrap();
                call::read(answer).await.unwrap();
            }
        });
    };
    // The first ones find buffers that have yet to grow.
    calls();
    let counted = measure(calls);
    f64::from(u32::try_from(counted.count_total).unwrap()) / f64::from(CALLS)
}

/// A runtime on this thread, a server elsewhere, and a channel to it.
fn connected() -> (tokio::runtime::Runtime, String, Channel) {
    let address = server::start(Answerer).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let channel = {
        let _entered = runtime.enter();
        Channel::builder(&*address).build().unwrap()
    };
    (runtime, address, channel)
}

// CONTRACT D1: the kept timer of the layer is the only one
#[test]
fn a_deadline_layer_over_the_channel_asks_for_no_memory_for_a_timer() {
    let (runtime, _, channel) = connected();
    let timed = Resilience::new().default_timeout(Duration::from_secs(30));
    let untimed = of_a_call(&runtime, Resilience::new().wrap(channel.clone()));
    let timed = of_a_call(&runtime, timed.wrap(channel));
    assert!(
        timed < untimed + 0.1,
        "{timed}, without a timeout {untimed}"
    );
}

// What h2, tonic's encoder and the request itself take is among them.
#[test]
fn a_unary_call_over_the_channel_asks_for_memory_sixteen_times() {
    let (runtime, address, channel) = connected();
    let ours = of_a_call(&runtime, channel);
    assert!(ours < 16.1, "{ours}");
    let tonic = Endpoint::from_shared(address).unwrap();
    let tonic = runtime.block_on(tonic.connect()).unwrap();
    let theirs = of_a_call(&runtime, tonic);
    assert!(theirs > ours + 5.0, "{theirs} over tonic's channel");
}

/// What a call costs over the bare channel, under `Resilience`, and with a report, for which it
/// goes through all layers.
fn calls_over(transport: Transport) -> [u64; 3] {
    let mut runtime = runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    let mut counted = [0; 3];
    runtime.block_on(transport.run(async {
        let server = Server::in_memory();
        let bare = server.channel();
        let stack = Resilience::new().wrap(bare.clone());
        let (mut bare, mut stack) = (EchoClient::new(bare), EchoClient::new(stack));
        for _ in 0..5 {
            let counts = [
                all_of(bare.unary(EchoRequest::default())).await,
                all_of(stack.unary(EchoRequest::default())).await,
                {
                    let mut request = tonic::Request::new(EchoRequest::default());
                    let _report = request.call_report();
                    all_of(stack.unary(request)).await
                },
            ];
            counted = counts;
        }
    }));
    counted
}

/// How often memory is asked for while a call runs, by the server, too, on the same thread.
async fn all_of<T>(call: impl Future<Output = Result<T, tonic::Status>>) -> u64 {
    let mut call = pin!(call);
    let mut total = 0;
    let answer = poll_fn(|cx| {
        let mut polled = Poll::Pending;
        total += measure(|| polled = call.as_mut().poll(cx)).count_total;
        polled
    });
    assert!(answer.await.is_ok());
    total
}

// DESIGN decision 15
#[test]
fn the_stack_costs_a_call_no_more_memory_over_ours_than_over_tonic() {
    let costs = |[bare, stack, reported]: [u64; 3]| (stack - bare, reported - bare);
    let (tonic, through_all) = costs(calls_over(Transport::Tonic));
    let (ours, through_all_over_ours) = costs(calls_over(Transport::Ours));
    println!("{tonic} and {through_all} over tonic, {ours} and {through_all_over_ours} over ours");
    assert!(ours <= tonic, "{ours} over ours, {tonic} over tonic");
    assert!(tonic < through_all, "over tonic it took the fast path");
}
