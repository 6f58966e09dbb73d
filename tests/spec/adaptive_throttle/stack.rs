//! Under and above other layers, and what a generated client sees.

use std::sync::Arc;

use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use grpc_resilience::budget::{BudgetLayer, TokenBucket};
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::classify::Reason;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{CallReport, GiveUp, Resilience};
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use tower::{Layer as _, ServiceBuilder};

use super::{counts, overloaded, throttling, was_shed};
use crate::support::{SECOND, Stack, client, declared, every, failures, hello, ms, ours, policy};

/// Refuses calls until the throttle is all but certain to hold the next one back.
async fn closed<T: Stack>(server: &Server, stack: T) {
    server.script().otherwise(overloaded());
    let mut client = client(stack);
    for _ in 0..2_000 {
        let mut request = hello();
        request.call_options().never_retry();
        client.unary(request).await.unwrap_err();
    }
    server.script().otherwise(Answer::handler());
    server.clear();
}

#[transports::test(start_paused = true)]
async fn a_held_back_call_fails_at_once_says_why_and_is_not_sent() {
    let server = Server::in_memory();
    let (mut generated, throttle) = throttling(&server);
    closed(&server, throttled(&server)).await;
    server.script().otherwise(overloaded());
    let before: Status = loop {
        let status = generated.unary(hello()).await.unwrap_err();
        if was_shed(&status) {
            break status;
        }
    };
    let (requests, _, shed) = counts(&throttle);
    assert_eq!(shed, 1);
    let message = format!(
        "throttled by the client: the server accepted 0 of {} calls in the last 120s",
        requests - 1
    );
    assert_eq!(before.message(), message);
    assert_eq!(u64::try_from(server.count()).unwrap(), requests - 1);
    let verdict = ours(&before)[0].verdict();
    assert!(verdict.progress.is_unprocessed());
}

fn throttled(
    server: &Server,
) -> grpc_resilience::adaptive_throttle::AdaptiveThrottle<transports::Channel> {
    AdaptiveThrottleLayer::new().seed(7).layer(server.channel())
}

// CONTRACT T2, T5, X1
#[transports::test(start_paused = true)]
async fn a_retry_layer_above_neither_repeats_a_held_back_attempt_nor_charges_its_budget() {
    let server = Server::in_memory();
    let service = throttled(&server);
    closed(&server, service.clone()).await;
    let throttle = service.throttle();
    let (requests, _, shed) = counts(&throttle);
    let budget = Arc::new(TokenBucket::default());
    let stack = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(policy()))
        .service(service);
    let mut request = declared();
    let report = request.call_report();
    let start = Instant::now();
    let status = client(stack).unary(request).await.unwrap_err();
    assert!(was_shed(&status));
    assert_eq!(start.elapsed(), ms(0));
    assert_eq!(ours(&status)[0].attempts(), 1);
    assert_eq!(report.give_up(), Some(GiveUp::Throttled));
    assert!(CallReport::find(&status).is_some());
    assert_eq!(server.count(), 0);
    assert_eq!(counts(&throttle), (requests + 1, 0, shed + 1));
    assert!((budget.tokens() - 300.0).abs() < f64::EPSILON);
}

// Where the policy names the code, each attempt asks the throttle anew
#[transports::test(start_paused = true)]
async fn where_resource_exhausted_is_made_retryable_each_attempt_is_a_request_and_none_is_charged()
{
    let server = Server::in_memory();
    let service = throttled(&server);
    closed(&server, service.clone()).await;
    let throttle = service.throttle();
    let (requests, _, shed) = counts(&throttle);
    let budget = Arc::new(TokenBucket::default());
    let stack = ServiceBuilder::new()
        .layer(BudgetLayer::new(Arc::clone(&budget)))
        .layer(RetryLayer::new(
            policy().backoff_on(Code::ResourceExhausted, every(ms(10))),
        ))
        .service(service);
    let mut request = hello();
    request.call_options().retry_on(Code::ResourceExhausted);
    let status = client(stack).unary(request).await.unwrap_err();
    assert_eq!(ours(&status)[0].verdict().reason, Reason::Throttled);
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(counts(&throttle), (requests + 4, 0, shed + 4));
    assert!((budget.tokens() - 300.0).abs() < f64::EPSILON);
}

// CONTRACT R17
#[transports::test(start_paused = true)]
async fn a_retry_that_is_held_back_ends_the_call_with_what_the_server_said() {
    let server = Server::in_memory();
    let service = throttled(&server);
    let mut stack = client(RetryLayer::new(policy()).layer(service));
    let mut found = None;
    for _ in 0..200 {
        server.clear();
        server.script().clear();
        server.script().on(method::UNARY, failures(4));
        let status = stack.unary(declared()).await.unwrap_err();
        if server.count() > 0 && GiveUp::find(&status) == Some(GiveUp::Throttled) {
            found = Some((status, server.count()));
            break;
        }
    }
    let (status, sent) = found.unwrap();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), format!("failure {sent}"));
}

#[transports::test(start_paused = true)]
async fn above_a_retry_layer_a_call_counts_once_by_its_last_answer() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(3));
    let service = AdaptiveThrottleLayer::new()
        .seed(7)
        .layer(RetryLayer::new(policy()).layer(server.channel()));
    let throttle = service.throttle();
    let mut stack = client(service);
    stack.unary(declared()).await.unwrap();
    assert_eq!(counts(&throttle), (1, 1, 0));
    server.script().otherwise(overloaded());
    stack.unary(declared()).await.unwrap_err();
    assert_eq!(counts(&throttle), (2, 1, 0));

    // The retry layer hands trailers without a message up as an error.
    let answer = Answer::status_in_trailers(Code::ResourceExhausted, "overloaded");
    server.script().otherwise(answer);
    let mut answers = stack.server_stream(declared()).await.unwrap().into_inner();
    assert_eq!(counts(&throttle), (3, 2, 0));
    answers.message().await.unwrap_err();
    assert_eq!(counts(&throttle), (3, 1, 0));
}

// Over tonic alone: the gate refuses the call; ours fails it with its dial's error, which counts.
#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_the_channel_below_counts_when_it_is_answered() {
    let server = Server::in_memory_unstarted();
    let service =
        AdaptiveThrottleLayer::new().layer(WaitForReadyLayer::new().layer(server.channel()));
    let throttle = service.throttle();
    let mut stack = client(service);
    let mut waiting = stack.clone();
    let call = tokio::spawn(async move { waiting.unary(hello()).await });
    sleep(10 * SECOND).await;
    assert!(server.dials() > 1);
    assert_eq!(counts(&throttle), (0, 0, 0));
    // What the gate refuses itself says nothing of the server.
    let mut impatient = hello();
    impatient.call_options().fail_fast();
    stack.unary(impatient).await.unwrap_err();
    assert_eq!(counts(&throttle), (0, 0, 0));
    server.start().await;
    call.await.unwrap().unwrap();
    assert_eq!(counts(&throttle), (1, 1, 0));
}

// CONTRACT W2
#[transports::test(start_paused = true)]
async fn in_the_whole_stack_a_call_still_waits_for_its_channel() {
    for seed in 0..4 {
        let server = Server::in_memory_unstarted();
        let stack = Resilience::new()
            .default_timeout(60 * SECOND)
            .attempt_layer(AdaptiveThrottleLayer::new().seed(seed))
            .wrap(server.channel());
        let call = tokio::spawn(async move { client(stack).unary(hello()).await });
        sleep(20 * SECOND).await;
        server.start().await;
        let answer = call.await.unwrap();
        assert!(answer.is_ok(), "{answer:?}");
    }
}

#[transports::test(start_paused = true)]
async fn in_the_whole_stack_every_attempt_is_counted_and_a_call_is_held_back() {
    let server = Server::in_memory();
    let throttle = AdaptiveThrottleLayer::new().seed(7).shared();
    let stack = Resilience::new()
        .retry(policy().backoff(every(ms(1))))
        .attempt_layer(throttle.clone())
        .wrap(server.channel());
    client(stack.clone()).unary(declared()).await.unwrap();
    server.script().on(method::UNARY, failures(1));
    client(stack.clone()).unary(declared()).await.unwrap();
    assert_eq!(counts(&throttle), (3, 2, 0));
    closed(&server, stack.clone()).await;
    let status = client(stack).unary(hello()).await.unwrap_err();
    assert!(was_shed(&status), "{status:?}");
    assert_eq!(server.count(), 0);
    let said = throttle.snapshot().to_string();
    assert!(said.contains("accepted 2, throttled"), "{said}");
}
