//! Call options whose layer is missing: one line for each, once in the life of a process. So each
//! has a test of its own, and no other test of this binary sets it without its layer.
//!
//! Over tonic alone: over ours too would be twice in the life of a process. What says nothing runs
//! over both.

use grpc_resilience::call::{CallOptions, CallOptionsExt};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{AdaptiveThrottleLayer, DeadlineLayer, Resilience, RetryLayer};
use test_protos::EchoClient;
use testing::{SECOND, Server, every, method, ms, undeclared};
use tower::{Layer, ServiceBuilder};
use tracing::Level;

use crate::support::Ear;

/// What is said of three calls with this option under a stack without its layer.
macro_rules! said {
    ($layer:expr, $set:expr) => {{
        let ear = Ear::new();
        let server = Server::in_memory();
        let stack = Layer::layer(&$layer, server.channel());
        let set: fn(&mut CallOptions) = $set;
        for _ in 0..3 {
            let mut request = undeclared();
            set(request.call_options());
            EchoClient::new(stack.clone()).unary(request).await.unwrap();
        }
        let heard = ear.take();
        assert!(heard.iter().all(|it| it.level == Level::WARN), "{heard:#?}");
        let said = heard
            .iter()
            .map(|it| it.of(["option", "layer"]).map(str::to_owned));
        said.collect::<Vec<_>>()
    }};
}

fn one(option: &str, layer: &str) -> Vec<[String; 2]> {
    vec![[option.to_owned(), layer.to_owned()]]
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn max_attempts_without_a_retry_layer_is_said_once() {
    let said = said!(WaitForReadyLayer::new(), |options| _ =
        options.max_attempts(2));
    assert_eq!(said, one("max_attempts", "RetryLayer"));
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn idempotent_without_a_retry_layer_is_said_once() {
    let said = said!(DeadlineLayer::new(), |options| _ = options.idempotent());
    assert_eq!(said, one("idempotent", "RetryLayer"));
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn retry_on_without_a_retry_layer_is_said_once() {
    let layer = DeadlineLayer::new().default_timeout(SECOND);
    let said = said!(layer, |options| _ = options.retry_on(tonic::Code::Aborted));
    assert_eq!(said, one("retry_on", "RetryLayer"));
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn retry_only_on_without_a_retry_layer_is_said_once() {
    let layer = DeadlineLayer::new().default_timeout(SECOND);
    let said = said!(layer, |options| _ =
        options.retry_only_on([tonic::Code::Aborted]));
    assert_eq!(said, one("retry_only_on", "RetryLayer"));
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn backoff_without_a_retry_layer_is_said_once() {
    let said = said!(AdaptiveThrottleLayer::new(), |options| _ =
        options.backoff(every(ms(1))));
    assert_eq!(said, one("backoff", "RetryLayer"));
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn max_hint_without_a_retry_layer_is_said_once() {
    let said = said!(WaitForReadyLayer::new(), |options| _ =
        options.max_hint(SECOND));
    assert_eq!(said, one("max_hint", "RetryLayer"));
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn wait_for_ready_without_its_layer_is_said_once() {
    let said = said!(RetryLayer::default(), |options| _ =
        options.wait_for_ready());
    assert_eq!(said, one("wait_for_ready", "WaitForReadyLayer"));
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn attempt_timeout_without_its_layer_is_said_once() {
    let layer = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(WaitForReadyLayer::new());
    let said = said!(layer, |options| _ = options.attempt_timeout(SECOND));
    assert_eq!(said, one("attempt_timeout", "AttemptTimeoutLayer"));
}

// CONTRACT V2
#[tokio::test(start_paused = true)]
async fn timeout_without_a_layer_that_obeys_it_is_said_once() {
    let said = said!(AdaptiveThrottleLayer::new(), |options| _ =
        options.timeout(SECOND));
    assert_eq!(said, one("timeout", "DeadlineLayer"));
}

// CONTRACT V2: what only takes something away has its effect without any layer
#[transports::test(start_paused = true)]
async fn options_that_lift_something_need_no_layer() {
    let said = said!(AdaptiveThrottleLayer::new(), |options| {
        options.never_retry().no_timeout().no_attempt_timeout();
        options.fail_fast().not_idempotent();
    });
    assert_eq!(said, <[[String; 2]; 0]>::default());
}

// CONTRACT V2
#[transports::test(start_paused = true)]
async fn options_whose_layers_are_there_say_nothing() {
    let all: fn(&mut CallOptions) = |options| {
        options
            .max_attempts(2)
            .idempotent()
            .retry_on(tonic::Code::Aborted);
        options.max_hint(SECOND).wait_for_ready().timeout(SECOND);
        options.attempt_timeout(ms(500));
    };
    assert_eq!(said!(Resilience::new(), all), <[[String; 2]; 0]>::default());
    let by_hand = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(WaitForReadyLayer::new())
        .layer(grpc_resilience::AttemptTimeoutLayer::default());
    assert_eq!(said!(by_hand, all), <[[String; 2]; 0]>::default());
}

// CONTRACT V2: a call that never came so far says nothing of the layers below
#[transports::test(start_paused = true)]
async fn a_call_that_ends_above_a_layer_does_not_miss_it() {
    let ear = Ear::new();
    let server = Server::in_memory_unstarted();
    let stack = Resilience::new().wrap(server.channel());
    let mut request = undeclared();
    request
        .call_options()
        .timeout(ms(50))
        .attempt_timeout(ms(10));
    EchoClient::new(stack).unary(request).await.unwrap_err();
    let heard = ear.take();
    assert!(
        heard.iter().all(|it| it.get("option").is_empty()),
        "{heard:#?}"
    );
    assert_eq!(server.calls_to(method::UNARY).len(), 0);
}
