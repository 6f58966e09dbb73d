//! Layers in an order that does something else than they say, and settings without effect: one
//! line.

use grpc_resilience::__internal;
use grpc_resilience::call::{CallOptionsExt, Deadline, Method, Safety, WaitMode};
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::{Policies, RetryLayer, RetryPolicy};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{
    AdaptiveThrottleLayer, AttemptTimeoutLayer, BudgetLayer, DeadlineLayer, IdempotencyKey,
    IdempotencyLayer, Resilience, ServerDeadlineLayer, TokenBucket,
};
use test_protos::{EchoClient, EchoRequest};
use testing::{SECOND, Server, ms, undeclared};
use tokio::time::Instant;
use tonic::Request;
use tower::{Layer, ServiceBuilder};
use tracing::Level;

use crate::support::Ear;

const TABLE: [Method; 2] = [
    Method::new("/shop.v1.Orders/Get", MethodKind::Unary, Safety::Unknown),
    Method::new(
        "/shop.v1.Orders/GetAndLock",
        MethodKind::Unary,
        Safety::Unknown,
    ),
];

/// The warnings of three calls under these layers.
macro_rules! said {
    ($layers:expr) => {{
        let ear = Ear::new();
        let server = Server::in_memory();
        let stack = $layers.service(server.channel());
        for _ in 0..3 {
            EchoClient::new(stack.clone())
                .unary(undeclared())
                .await
                .unwrap();
        }
        let heard = ear.take();
        assert!(heard.iter().all(|it| it.level == Level::WARN), "{heard:#?}");
        assert!(
            heard.iter().all(|it| it.target == "grpc_resilience"),
            "{heard:#?}"
        );
        let said = heard.iter().map(|it| it.text().to_owned());
        said.collect::<Vec<_>>()
    }};
}

fn assert_one(said: &[String], words: &str) {
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains(words), "{said:?} {words}");
}

fn bucket() -> BudgetLayer {
    BudgetLayer::new(TokenBucket::default())
}

// CONTRACT V2
#[transports::test(start_paused = true)]
async fn a_budget_below_a_retry_layer_is_said_once() {
    let layers = || {
        ServiceBuilder::new()
            .layer(RetryLayer::default())
            .layer(bucket())
    };
    assert_one(&said!(layers()), "a BudgetLayer stands below a RetryLayer");
    // Another stack is another cause.
    assert_one(&said!(layers()), "a BudgetLayer stands below a RetryLayer");
}

// CONTRACT V2
#[transports::test(start_paused = true)]
async fn a_budget_below_another_is_said_once() {
    let layers = ServiceBuilder::new()
        .layer(bucket())
        .layer(bucket())
        .layer(RetryLayer::default());
    assert_one(&said!(layers), "a BudgetLayer stands below another");
    let layers = ServiceBuilder::new()
        .layer(bucket())
        .layer(Resilience::new());
    assert_one(&said!(layers), "a BudgetLayer stands below another");
}

// CONTRACT V2
#[transports::test(start_paused = true)]
async fn an_attempt_timeout_in_a_wrong_place_is_said_once() {
    let bounded = || AttemptTimeoutLayer::new(SECOND).unwrap();
    let layers = ServiceBuilder::new()
        .layer(bounded())
        .layer(RetryLayer::default())
        .layer(bounded());
    assert_one(
        &said!(layers),
        "an AttemptTimeoutLayer stands above a RetryLayer",
    );
    let layers = || ServiceBuilder::new().layer(bounded()).layer(bounded());
    let below = "an AttemptTimeoutLayer stands below another";
    assert_one(&said!(layers()), below);
    assert_one(&said!(layers()), below);
}

// CONTRACT V2
#[transports::test(start_paused = true)]
async fn a_retry_layer_below_another_is_said_once() {
    let layers = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(RetryLayer::default());
    assert_one(&said!(layers), "a RetryLayer stands below another");
}

// CONTRACT V2
#[transports::test(start_paused = true)]
async fn declarations_below_a_retry_layer_are_said_once() {
    let declared = IdempotencyLayer::new()
        .idempotent("/test.v1.Echo/*")
        .unwrap();
    let layers = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(declared);
    assert_one(
        &said!(layers),
        "an IdempotencyLayer stands below a RetryLayer",
    );
}

// CONTRACT V2
#[transports::test(start_paused = true)]
async fn two_layers_in_which_calls_wait_are_said_once() {
    let layers = ServiceBuilder::new()
        .layer(WaitForReadyLayer::new())
        .layer(WaitForReadyLayer::new());
    assert_one(&said!(layers), "a WaitForReadyLayer stands below another");
}

// CONTRACT V2
#[transports::test(start_paused = true)]
async fn a_throttle_below_wait_for_ready_is_said_once() {
    let layers = ServiceBuilder::new()
        .layer(WaitForReadyLayer::new())
        .layer(AdaptiveThrottleLayer::new());
    assert_one(
        &said!(layers),
        "an AdaptiveThrottleLayer stands below a WaitForReadyLayer",
    );
}

// CONTRACT V2
// Over tonic alone: it is said once in the life of a process.
#[tokio::test(start_paused = true)]
async fn a_server_s_deadline_layer_on_a_client_is_said_once() {
    let layers = ServiceBuilder::new().layer(ServerDeadlineLayer::new());
    assert_one(&said!(layers), "it belongs on a server");
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn a_server_s_deadline_layer_on_a_server_says_nothing() {
    let ear = Ear::new();
    let tonic = tonic::transport::Server::builder();
    let server = Server::builder().tonic(tonic).in_memory();
    let inner = ServerDeadlineLayer::new().layer(Plain);
    // A request that came over a wire.
    let mut inner = inner;
    let request = http::Request::new(());
    tower::Service::call(&mut inner, request).await.unwrap();
    assert_eq!(ear.take(), []);
    drop(server);
}

#[derive(Clone)]
struct Plain;

impl tower::Service<http::Request<()>> for Plain {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<()>) -> Self::Future {
        std::future::ready(Ok(http::Response::default()))
    }
}

// CONTRACT V2
#[transports::test(start_paused = true)]
async fn layers_in_the_right_order_say_nothing() {
    let layers = ServiceBuilder::new()
        .layer(DeadlineLayer::new().default_timeout(SECOND))
        .layer(
            IdempotencyLayer::new()
                .idempotent("/test.v1.Echo/*")
                .unwrap(),
        )
        .layer(bucket())
        .layer(RetryLayer::default())
        .layer(AdaptiveThrottleLayer::new())
        .layer(WaitForReadyLayer::new())
        .layer(AttemptTimeoutLayer::new(ms(500)).unwrap());
    assert_eq!(said!(layers), [""; 0]);
    let stack = Resilience::new()
        .default_timeout(SECOND)
        .attempt_timeout(AttemptTimeoutLayer::new(ms(500)).unwrap())
        .attempt_layer(AdaptiveThrottleLayer::new());
    assert_eq!(said!(ServiceBuilder::new().layer(stack)), [""; 0]);
}

/// The patterns without a method that are named when this is laid over something, twice.
fn laid<S>(layer: &impl Layer<(), Service = S>) -> Vec<[String; 2]> {
    let ear = Ear::new();
    for _ in 0..2 {
        drop(layer.layer(()));
    }
    let heard = ear.take();
    let said = heard
        .iter()
        .map(|it| it.of(["setter", "pattern"]).map(str::to_owned))
        // An exception that decides nothing has neither.
        .filter(|line| !line[0].is_empty());
    said.collect()
}

fn lines(lines: &[[&str; 2]]) -> Vec<[String; 2]> {
    lines.iter().map(|line| line.map(str::to_owned)).collect()
}

// CONTRACT V2
#[test]
fn a_pattern_that_matches_no_described_method_is_said_once() {
    let layer = IdempotencyLayer::new()
        .no_side_effects("/shop.v1.Orders/Gett*")
        .unwrap()
        .idempotent("/shop.v1.Oders/Get")
        .unwrap()
        .not_idempotent("/stock.v1.Stock/Lock")
        .unwrap()
        .unary("/shop.v1.Orders/Quote")
        .unwrap()
        .key("/shop.v1.Orders/Create", IdempotencyKey::random())
        .unwrap()
        .idempotent("/shop.*/Get*")
        .unwrap();
    // Nobody says yet which methods there are.
    assert_eq!(laid(&layer), lines(&[]));
    let layer = layer.methods(TABLE).unwrap();
    let expected = [
        ["idempotent", "/shop.v1.Oders/Get"],
        ["key", "/shop.v1.Orders/Create"],
        ["kind", "/shop.v1.Orders/Quote"],
        ["no_side_effects", "/shop.v1.Orders/Gett*"],
        ["not_idempotent", "/stock.v1.Stock/Lock"],
    ];
    assert_eq!(laid(&layer), lines(&expected));
    // A change is another cause.
    let changed = layer.clone().idempotent("/shop.v1.Orders/Get").unwrap();
    assert_eq!(laid(&changed), lines(&expected));
    assert_eq!(laid(&layer), lines(&[]));
}

// CONTRACT V2
#[test]
fn the_patterns_of_all_layers_of_the_stack_are_compared_with_its_descriptors() {
    let policies = Policies::new(RetryPolicy::new())
        .method("/shop.v1.Orders/Wacth", RetryPolicy::never())
        .unwrap();
    let waiting = WaitForReadyLayer::new()
        .method("/shop.v1.Orders/Qote", WaitMode::FailFast)
        .unwrap();
    let budgets = bucket()
        .method("/shop.v1.Orders/Report*", TokenBucket::default())
        .unwrap()
        .method("/shop.v1.Orders/Get*", TokenBucket::default())
        .unwrap();
    let stack = Resilience::new()
        .retry(policies)
        .wait_for_ready(waiting)
        .budget_layer(budgets);
    assert_eq!(laid(&stack.clone()), lines(&[]));
    let stack = stack.methods(TABLE).unwrap();
    let expected = [
        ["retry", "/shop.v1.Orders/Wacth"],
        ["wait_for_ready", "/shop.v1.Orders/Qote"],
        ["budget", "/shop.v1.Orders/Report*"],
    ];
    assert_eq!(laid(&stack), lines(&expected));
}

// CONTRACT V2
#[test]
fn a_glob_that_an_exception_overrules_is_said_once() {
    let ear = Ear::new();
    let layer = IdempotencyLayer::new()
        .idempotent("/shop.v1.Orders/Get*")
        .unwrap()
        .not_idempotent("/shop.v1.Orders/*")
        .unwrap()
        .idempotent("/shop.v1.Orders/Get")
        .unwrap();
    drop(layer.layer(()));
    drop(layer.layer(()));
    let heard = ear.take();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    assert_eq!(
        heard[0].of(["pattern", "exception"]),
        ["/shop.v1.Orders/Get*", "/shop.v1.Orders/*"]
    );
}

// CONTRACT V2: without descriptors
#[test]
fn an_exception_from_nothing_is_said_once() {
    let layer = || {
        IdempotencyLayer::new()
            .idempotent("/shop.v1.Orders/Get*")
            .unwrap()
    };
    let idle = |layer: &IdempotencyLayer| {
        let ear = Ear::new();
        for _ in 0..2 {
            drop(layer.layer(()));
        }
        let heard = ear.take();
        let said = heard.iter().map(|it| it.get("exception").to_owned());
        said.collect::<Vec<_>>()
    };
    let misspelt = "/shop.v1.Oders/GetAndLock";
    let lost = layer().not_idempotent(misspelt).unwrap();
    assert_eq!(idle(&lost), [misspelt]);
    let lost = layer().not_idempotent("/shop.v1.Orders/[a-f]*").unwrap();
    assert_eq!(idle(&lost), ["/shop.v1.Orders/[a-f]*"]);
    // Those that decide something, or may.
    for decides in ["/shop.v1.Orders/GetAndLock", "/shop.*/*Lock", "/**/G*Lock"] {
        let layer = layer().not_idempotent(decides).unwrap();
        assert_eq!(idle(&layer), [""; 0], "{decides}");
    }
    let asked = layer().idempotent_if(|_| Some(Safety::Idempotent));
    assert_eq!(idle(&asked.not_idempotent(misspelt).unwrap()), [""; 0]);
    let keyed = layer().key("/shop.v1.*/*", IdempotencyKey::random().deduplicated());
    let keyed = keyed.unwrap().not_idempotent(misspelt).unwrap();
    assert_eq!(idle(&keyed), [""; 0]);
    // For a retry policy that assumes all calls idempotent.
    let alone = IdempotencyLayer::new().not_idempotent(misspelt).unwrap();
    assert_eq!(idle(&alone), [""; 0]);
}

// CONTRACT V2
#[test]
fn an_attempt_timeout_that_ends_no_attempt_before_the_default_timeout_is_said_once() {
    for (attempt, said) in [(ms(999), 0), (SECOND, 1), (2 * SECOND, 1)] {
        let ear = Ear::new();
        let stack = Resilience::new()
            .default_timeout(SECOND)
            .attempt_timeout(AttemptTimeoutLayer::new(attempt).unwrap());
        drop(stack.wrap(()));
        drop(stack.wrap(()));
        let heard = ear.take();
        assert_eq!(heard.len(), said, "{heard:#?}");
        assert!(heard.iter().all(|it| it.text().contains("has no effect")));
    }
}

// CONTRACT V2
#[test]
fn declarations_that_a_layer_replaces_are_said() {
    let ear = Ear::new();
    let replaced = Resilience::new()
        .not_idempotent("/shop.v1.Orders/GetAndLock")
        .unwrap()
        .idempotency(IdempotencyLayer::new());
    assert_eq!(ear.take().len(), 1);
    drop(replaced.idempotency(IdempotencyLayer::new()));
    assert_eq!(ear.take(), []);
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn a_default_timeout_of_zero_is_said_as_it_is_set() {
    let ear = Ear::new();
    let none = std::time::Duration::ZERO;
    let _ = DeadlineLayer::new().default_timeout(none);
    drop(Resilience::new().default_timeout(none));
    let heard = ear.take();
    assert_eq!(heard.len(), 2, "{heard:#?}");
    for heard in heard {
        assert_eq!(heard.level, Level::WARN);
        assert!(heard.text().contains("the default timeout is zero"));
    }
    drop(Resilience::new().default_timeout(ms(1)));
    assert_eq!(ear.take(), []);
}

/// What a caller says of a call.
type Says = fn(&mut Request<EchoRequest>);

/// The warnings of three calls under these layers, of which their caller says this.
macro_rules! told {
    ($layers:expr, $set:expr) => {{
        let (ear, server) = (Ear::new(), Server::in_memory());
        let stack = Layer::layer(&$layers, server.channel());
        let set: Says = $set;
        for _ in 0..3 {
            let mut request = undeclared();
            set(&mut request);
            EchoClient::new(stack.clone()).unary(request).await.unwrap();
        }
        let mut heard = ear.take();
        heard.retain(|it| it.level == Level::WARN);
        heard
    }};
}

// CONTRACT V2
#[transports::test(start_paused = true)]
async fn an_attempt_timeout_that_is_not_shorter_than_the_default_timeout_is_said_in_any_stack() {
    let by_hand = |attempt| {
        ServiceBuilder::new()
            .layer(DeadlineLayer::new().default_timeout(SECOND))
            .layer(RetryLayer::default())
            .layer(attempt)
    };
    let bounded = |timeout| AttemptTimeoutLayer::new(timeout).unwrap();
    let none: Says = |_| {};
    let long: Says = |request| _ = request.call_options().attempt_timeout(3 * SECOND);
    for (heard, attempt) in [
        (told!(by_hand(bounded(3 * SECOND)), none), "3s"),
        (told!(by_hand(bounded(SECOND)), none), "1s"),
        (told!(by_hand(AttemptTimeoutLayer::default()), long), "3s"),
        (told!(Resilience::new().default_timeout(SECOND), long), "3s"),
        (
            told!(
                Resilience::new()
                    .default_timeout(SECOND)
                    .attempt_timeout(bounded(SECOND)),
                none
            ),
            "1s",
        ),
    ] {
        assert_eq!(heard.len(), 1, "{heard:#?}");
        assert!(
            heard[0]
                .text()
                .contains("the attempt timeout has no effect")
        );
        assert_eq!(
            heard[0].of(["attempt_timeout", "default_timeout"]),
            [attempt, "1s"]
        );
    }
    // A caller's own timeout may well be shorter.
    let own: Says = |request| _ = request.call_options().timeout(ms(900));
    let header: Says = |request| request.set_timeout(ms(900));
    let bound: Says = |request| {
        let deadline = Deadline::after(Instant::now(), ms(900));
        __internal::bound(request.extensions_mut(), deadline);
    };
    for heard in [
        told!(by_hand(bounded(3 * SECOND)), own),
        told!(by_hand(bounded(3 * SECOND)), header),
        told!(by_hand(bounded(3 * SECOND)), bound),
        told!(by_hand(bounded(ms(999))), none),
        told!(Resilience::new().default_timeout(SECOND), |request| _ =
            request.call_options().attempt_timeout(ms(999))),
    ] {
        assert_eq!(heard, []);
    }
}

// CONTRACT V2
#[transports::test(start_paused = true)]
async fn two_stacks_over_each_other_are_said_as_such_and_once() {
    let stack = || Resilience::new().idempotent("/test.v1.Echo/*").unwrap();
    let around = || stack().attempt_layer(tower::layer::util::Identity::new());
    let bounded = || stack().attempt_timeout(AttemptTimeoutLayer::new(SECOND).unwrap());
    let none: Says = |_| {};
    for heard in [
        told!(ServiceBuilder::new().layer(stack()).layer(stack()), none),
        told!(ServiceBuilder::new().layer(around()).layer(stack()), none),
        told!(ServiceBuilder::new().layer(stack()).layer(around()), none),
        told!(
            ServiceBuilder::new().layer(bounded()).layer(bounded()),
            none
        ),
    ] {
        assert_eq!(heard.len(), 1, "{heard:#?}");
        assert!(heard[0].text().contains("lies over another"), "{heard:#?}");
    }
}
