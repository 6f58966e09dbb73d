//! `Resilience`: all layers, in the one right order, over any channel.

use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::budget::TokenBucket;
use grpc_resilience::call::{CallOptionsExt, Safety};
use grpc_resilience::retry::RetryPolicy;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{BoxError, GiveUp, IdempotencyLayer, Resilience, Resilient};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use test_protos::EchoClient;
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;
use transports::{Channel, ResponseBody, Transport};

use crate::support::{
    SECOND, Stack, client, every, failures, hello, message, ms, spawn, timeouts, unavailable,
};

fn declared() -> Resilience {
    Resilience::new().idempotent("/test.v1.Echo/*").unwrap()
}

/// Survives a channel that is down, refusals, and is bounded: each layer has its part.
async fn works<T: Stack>(server: &Server, stack: T) {
    server.stop();
    server.clear();
    server.script().on(method::UNARY, failures(2));
    let start = Instant::now();
    let mut unary = client(stack.clone());
    let call = tokio::spawn(async move { unary.unary(hello()).await });
    sleep(ms(500)).await;
    server.start().await;
    assert_eq!(call.await.unwrap().unwrap().into_inner().text, "hello");
    // It waited for a second, and then two backoffs of 10 ms; over ours for the channel's own dial.
    let took = start.elapsed();
    assert!(took <= ms(1_020), "{took:?}");
    assert!(
        took == ms(1_020) || Transport::current().is_ours(),
        "{took:?}"
    );
    let calls = server.calls();
    let attempts: Vec<_> = calls
        .iter()
        .map(|call| call.previous_attempts.as_deref())
        .collect();
    assert_eq!(attempts, [None, Some("1"), Some("2")]);
    let backoffs = [0, 10, 20].map(ms);
    let rest = (5 * SECOND).saturating_sub(took.saturating_sub(ms(20)));
    let left = backoffs.map(|passed| Some(rest.saturating_sub(passed).as_micros()));
    assert_eq!(timeouts(&calls), left);

    let answers = client(stack.clone())
        .bidi_stream(tokio_stream::iter(["a", "b"].map(message)))
        .await
        .unwrap();
    let mut answers = answers.into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().text, "a");
    server.script().always(method::UNARY, Answer::hang());
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    server.script().clear();
}

fn complete() -> Resilience {
    declared()
        .default_timeout(5 * SECOND)
        .retry(RetryPolicy::new().backoff(every(ms(10))))
        .wait_for_ready(WaitForReadyLayer::new().backoff(every(SECOND)))
}

// DESIGN decision 2
#[transports::test(start_paused = true)]
async fn the_stack_works_over_a_tonic_channel() {
    let server = Server::in_memory_unstarted();
    works(&server, complete().wrap(server.channel())).await;
}

// DESIGN decision 2
#[transports::test(start_paused = true)]
async fn the_stack_works_over_a_boxed_service() {
    type Boxed = BoxCloneSyncService<http::Request<Body>, http::Response<ResponseBody>, BoxError>;
    let server = Server::in_memory_unstarted();
    let boxed: Boxed = BoxCloneSyncService::new(server.channel());
    works(&server, complete().wrap(boxed)).await;
}

// DESIGN decision 2
#[transports::test(start_paused = true)]
async fn the_stack_works_over_a_service_of_http_body_util_s_boxed_bodies() {
    type Boxed = UnsyncBoxBody<Bytes, Status>;
    let server = Server::in_memory_unstarted();
    let inner = ServiceBuilder::new()
        .map_request(|request: http::Request<Boxed>| request.map(Body::new))
        .map_response(|response: http::Response<ResponseBody>| {
            response.map(|body| Body::new(body).boxed_unsync())
        })
        .service(server.channel());
    let stack = ServiceBuilder::new()
        .map_request(|request: http::Request<Body>| request.map(BodyExt::boxed_unsync))
        .layer(complete())
        .service(inner);
    works(&server, stack).await;
}

// CONTRACT D3, I4, R1, W2
#[transports::test(start_paused = true)]
async fn by_default_calls_have_no_timeout_are_not_declared_and_wait_for_the_channel() {
    let server = Server::in_memory_unstarted();
    let stack = Resilience::default().wrap(server.channel());
    let mut waiting = client(stack.clone());
    let call = tokio::spawn(async move { waiting.unary(hello()).await });
    sleep(1_000 * SECOND).await;
    assert!(!call.is_finished());
    server.script().always(method::UNARY, unavailable("busy"));
    server.start().await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
    assert_eq!(timeouts(&server.calls()), [None]);
    server.clear();
    let mut request = hello();
    request.call_options().idempotent();
    let status = client(stack).unary(request).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(server.count(), 4);
}

// CONTRACT T4; DESIGN decision 10
#[transports::test(start_paused = true)]
async fn by_default_an_outage_costs_fewer_than_a_hundred_and_fifty_extra_attempts() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("down"));
    let stack = complete().wrap(server.channel());
    for _ in 0..200 {
        let _ = client(stack.clone()).unary(hello()).await.unwrap_err();
    }
    // 37 calls fail four times; the next ones leave half of 300 tokens and no more.
    assert_eq!(server.count(), 200 + 37 * 3 + 1);
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert_eq!(GiveUp::find(&status), Some(GiveUp::BudgetExhausted));
}

// DESIGN decision 10
#[transports::test(start_paused = true)]
async fn clones_share_a_budget_each_wrap_has_its_own_and_a_given_one_is_everybody_s() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("down"));
    let spent = |status: Status| GiveUp::find(&status) == Some(GiveUp::BudgetExhausted);
    let built = complete();
    let one = built.wrap(server.channel());
    for _ in 0..200 {
        let _ = client(one.clone()).unary(hello()).await.unwrap_err();
    }
    assert!(spent(client(one.clone()).unary(hello()).await.unwrap_err()));
    let other = built.wrap(server.channel());
    assert!(!spent(client(other).unary(hello()).await.unwrap_err()));

    let shared = complete().budget(TokenBucket::new(4, 0.1).unwrap());
    let (one, other) = (shared.wrap(server.channel()), shared.wrap(server.channel()));
    assert!(spent(client(one).unary(hello()).await.unwrap_err()));
    server.clear();
    assert!(spent(client(other).unary(hello()).await.unwrap_err()));
    assert_eq!(server.count(), 1);

    let unlimited = complete().unlimited_budget().wrap(server.channel());
    for _ in 0..200 {
        assert!(!spent(
            client(unlimited.clone()).unary(hello()).await.unwrap_err()
        ));
    }
}

// CONTRACT I5
#[transports::test(start_paused = true)]
async fn methods_are_declared_before_the_retry_layer_decides() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("busy"));
    let rule = |method: &str| {
        let declared = method.ends_with("ServerStreamIdempotent");
        declared.then_some(Safety::Idempotent)
    };
    let stack = Resilience::new()
        .idempotency(IdempotencyLayer::new().idempotent_if(rule))
        .no_side_effects(method::UNARY_NO_SIDE_EFFECTS)
        .unwrap()
        .idempotent("/test.v1.Echo/Unary*")
        .unwrap()
        .not_idempotent(method::UNARY)
        .unwrap()
        .wrap(server.channel());
    let mut client = client(stack);
    client.unary(hello()).await.unwrap_err();
    client.unary_no_side_effects(hello()).await.unwrap_err();
    client.unary_idempotent(hello()).await.unwrap_err();
    client.server_stream(hello()).await.unwrap_err();
    client.server_stream_idempotent(hello()).await.unwrap_err();
    let count = |method| server.calls_to(method).len();
    assert_eq!(count(method::UNARY), 1, "the exact path beats the glob");
    assert_eq!(count(method::UNARY_IDEMPOTENT), 4, "by glob");
    assert_eq!(count(method::UNARY_NO_SIDE_EFFECTS), 4, "by path");
    assert_eq!(count(method::SERVER_STREAM_IDEMPOTENT), 4, "by closure");
    assert_eq!(count(method::SERVER_STREAM), 1, "by nobody");
}

// CONTRACT R6
#[transports::test(start_paused = true)]
async fn a_method_declared_unary_is_retried_though_its_status_comes_in_trailers() {
    let server = Server::in_memory();
    let late = || [Answer::status_in_trailers(Code::Unavailable, "late")];
    server.script().on(method::UNARY, late());
    let told = declared()
        .unary("/test.v1.Echo/Unary")
        .unwrap()
        .wrap(server.channel());
    client(told).unary(hello()).await.unwrap();
    server.script().on(method::UNARY, late());
    let untold = declared().wrap(server.channel());
    client(untold).unary(hello()).await.unwrap_err();
    assert_eq!(server.count(), 3);
}

// CONTRACT R2, W2: the deadline stands above all, the wait for the channel below the attempts
#[transports::test(start_paused = true)]
async fn the_deadline_bounds_the_wait_and_the_wait_costs_no_attempt() {
    let server = Server::in_memory_unstarted();
    let one_attempt = RetryPolicy::new().max_attempts(1).unwrap();
    let stack = complete().retry(one_attempt).wrap(server.channel());
    let start = Instant::now();
    let status = client(stack.clone()).unary(hello()).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed(), 5 * SECOND);
    let mut waiting = client(stack);
    let call = tokio::spawn(async move { waiting.unary(hello()).await });
    sleep(ms(2_500)).await;
    server.start().await;
    call.await.unwrap().unwrap();
}

#[derive(Clone, Debug)]
struct Shop {
    orders: EchoClient<Resilient<Channel>>,
    plain: Resilient<Channel>,
}

#[transports::test(start_paused = true)]
async fn the_stack_is_a_named_type_that_is_cloned_and_kept_in_a_struct() {
    let server = Server::in_memory();
    let plain = Resilience::new()
        .default_timeout(Duration::from_secs(5))
        .wrap(server.channel());
    let shop = Shop {
        orders: EchoClient::new(plain.clone()),
        plain,
    };
    let mut copy = shop.clone();
    copy.orders.unary(hello()).await.unwrap();
    client(copy.plain).unary(hello()).await.unwrap();
    let mut original = shop.orders.clone();
    original.unary(hello()).await.unwrap();
    assert_eq!((server.count(), server.connections()), (3, 1));
    assert!(format!("{shop:?}").contains("Resilient"));
}

// DESIGN decision 1; PEER-CASES TW-readiness: the limit panics if it is called without a permit
#[transports::test(start_paused = true)]
async fn a_call_waits_for_a_limit_below_inside_its_own_future_and_under_its_deadline() {
    let server = Server::in_memory();
    server
        .script()
        .otherwise(Answer::handler().after(2 * SECOND));
    let limited = ServiceBuilder::new()
        .concurrency_limit(1)
        .service(server.channel());
    let stack = complete().wrap(limited);
    let start = Instant::now();
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(spawn(&stack, hello()));
    }
    let mut codes = Vec::new();
    for call in calls {
        codes.push(
            call.await
                .unwrap()
                .map_or_else(|status| status.code(), |_| Code::Ok),
        );
    }
    assert_eq!(codes, [Code::Ok, Code::Ok, Code::DeadlineExceeded]);
    assert_eq!(start.elapsed(), 5 * SECOND);
    let left = [Some(5_000_000), Some(3_000_000), Some(1_000_000)];
    assert_eq!(timeouts(&server.calls()), left);
}
