//! A report taken before the call.

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::grpc::Code;
use grpc_resilience::report::Phase;
use grpc_resilience::retry::{BeforeAttempt, NextAttempt, RetryLayer};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{CallReport, GiveUp, Resilience};
use std::time::Duration;
use testing::{Answer, Server, method};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Request;
use tower::Layer as _;

use crate::support::{
    SECOND, Stack, client, declared, every, for_each_stack, ms, policy, retrying, unavailable,
    undeclared,
};
use test_protos::EchoRequest;
use transports::Transport;

fn watched(mut request: Request<EchoRequest>) -> (Request<EchoRequest>, CallReport) {
    let report = request.call_report();
    assert_eq!((report.phase(), report.code()), (Phase::NotStarted, None));
    assert_eq!(report.elapsed(), Duration::ZERO);
    (request, report)
}

#[transports::test(start_paused = true)]
async fn a_call_that_hangs_can_be_looked_at_and_says_how_long_it_hangs() {
    let server = Server::in_memory();
    let hang = Answer::hang();
    server
        .script()
        .on(method::UNARY, [unavailable("once"), hang]);
    let (request, report) = watched(declared());
    let stack = Resilience::new()
        .default_timeout(SECOND)
        .retry(policy())
        .wrap(server.channel());
    let start = Instant::now();
    let call = tokio::spawn(async move { client(stack).unary(request).await });
    sleep_until(start + ms(500)).await;
    assert_eq!((report.phase(), report.code()), (Phase::Attempt, None));
    let waits = 1 + Transport::first_waits();
    assert_eq!((report.attempts(), report.waits()), (2, waits));
    assert_eq!(report.elapsed(), ms(500));
    assert_eq!(
        report.last_failure().unwrap().source().unwrap().to_string(),
        "code: 'The service is currently unavailable', message: \"once\""
    );
    let so_far = report.time_in(Phase::Attempt);
    sleep(ms(100)).await;
    assert_eq!(report.time_in(Phase::Attempt), so_far + ms(100));

    call.await.unwrap().unwrap_err();
    assert_eq!((report.phase(), report.elapsed()), (Phase::Over, SECOND));
    assert_eq!(report.code(), Some(Code::DeadlineExceeded));
    assert_eq!(report.give_up(), Some(GiveUp::Deadline));
}

// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn each_wait_of_a_call_is_a_phase_that_can_be_seen() {
    let server = Server::in_memory_unstarted();
    let slow = BeforeAttempt::new(|next: NextAttempt| async {
        sleep(ms(100)).await;
        Ok(next)
    });
    let stack = Resilience::new()
        .retry_layer(RetryLayer::new(policy().backoff(every(ms(100)))).before_attempt(slow))
        .wait_for_ready(WaitForReadyLayer::new().backoff(every(ms(100))))
        .wrap(server.channel());
    server.script().on(method::UNARY, [unavailable("once")]);
    let (request, report) = watched(declared());
    let call = tokio::spawn(async move { client(stack).unary(request).await });
    sleep(ms(50)).await;
    assert_eq!(report.phase(), Phase::Preparing);
    sleep(ms(100)).await;
    assert_eq!(report.phase(), Phase::NotReady);
    server.start().await;
    sleep(ms(100)).await;
    assert_eq!(report.phase(), Phase::Backoff);
    call.await.unwrap().unwrap();
    assert_eq!(report.waits(), 2);
    assert_eq!(report.time_in(Phase::Preparing).as_millis() / 10, 20);
}

async fn ends_with<T: Stack>(stack: T, name: &str, expected: (Code, Option<GiveUp>)) {
    let (request, report) = watched(declared());
    let answer = client(stack).unary(request).await;
    let told = match &answer {
        Ok(answer) => answer.extensions().get::<CallReport>().cloned(),
        Err(status) => CallReport::find(status),
    };
    assert_eq!(report.phase(), Phase::Over, "{name}");
    assert_eq!(report.code(), Some(expected.0), "{name}");
    assert_eq!(report.give_up(), expected.1, "{name}");
    // An answer that passes a layer is not touched: its report is the caller's own.
    if answer.is_ok() {
        assert_eq!(told.unwrap().elapsed(), report.elapsed(), "{name}");
    }
}

#[transports::test(start_paused = true)]
async fn every_layer_alone_writes_the_end_of_a_call_that_is_watched() {
    let server = Server::in_memory();
    for_each_stack!(server.channel(), |name, stack| {
        // These two only annotate.
        if !["idempotency", "budget"].contains(&name) {
            ends_with(stack, name, (Code::Ok, None)).await;
        }
    });
}

#[transports::test(start_paused = true)]
async fn a_call_that_is_dropped_was_cancelled_whatever_it_was_doing() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, Answer::hang());
    let (request, report) = watched(undeclared());
    let mut hanging = retrying(&server, policy());
    let call = tokio::spawn(async move { hanging.unary(request).await });
    sleep(ms(10)).await;
    call.abort();
    call.await.unwrap_err();
    assert_eq!(report.phase(), Phase::Over);
    assert_eq!(report.code(), Some(Code::Cancelled));
    assert_eq!(report.give_up(), Some(GiveUp::Cancelled));

    let (mut request, report) = watched(declared());
    request.get_mut().repeat = 3;
    let answers = retrying(&server, policy()).server_stream(request).await;
    let mut answers = answers.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();
    assert_eq!(report.phase(), Phase::Response);
    drop(answers);
    assert_eq!(report.give_up(), Some(GiveUp::Cancelled));
}

#[transports::test(start_paused = true)]
async fn a_request_that_is_refused_at_once_is_over_at_once() {
    let server = Server::in_memory();
    let (mut request, report) = watched(declared());
    request.call_options().max_attempts(0);
    retrying(&server, policy())
        .unary(request)
        .await
        .unwrap_err();
    assert_eq!(report.code(), Some(Code::InvalidArgument));
    assert_eq!(report.give_up(), Some(GiveUp::InvalidCall));

    let (mut request, report) = watched(declared());
    request
        .metadata_mut()
        .insert("grpc-timeout", "soon".parse().unwrap());
    let bounded = DeadlineLayer::new().layer(server.channel());
    client(bounded).unary(request).await.unwrap_err();
    assert_eq!(report.code(), Some(Code::Internal));
    assert_eq!(server.count(), 0);
}
