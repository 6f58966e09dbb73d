//! Reports where layers of somebody else's stand between, calls are cut short, and errors are kept.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::classify::Reason;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::grpc::Code;
use grpc_resilience::report::Phase;
use grpc_resilience::retry::{BeforeAttempt, NextAttempt, RetryLayer};
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{CallReport, GiveUp, Resilience};
use http::Response;
use test_protos::{EchoRequest, EchoResponse};
use testing::{Answer, Server, grpc_frame, method};
use tokio::time::sleep;
use tonic::Request;
use tower::{Layer as _, ServiceExt as _};

use crate::support::{
    SECOND, client, declared, every, failures, for_each_stack, ms, policy, unavailable, undeclared,
};

fn watched(mut request: Request<EchoRequest>) -> (Request<EchoRequest>, CallReport) {
    let report = request.call_report();
    (request, report)
}

#[transports::test(start_paused = true)]
async fn a_call_that_is_dropped_after_a_failed_attempt_was_cancelled_not_failed() {
    let server = Server::in_memory();
    let stack = || {
        let slow = policy().backoff(every(SECOND));
        Resilience::new()
            .default_timeout(60 * SECOND)
            .retry(slow)
            .wrap(server.channel())
    };
    for (drop_after, attempts, cut) in [(ms(500), 1, 1), (ms(1_500), 2, 2)] {
        let answers = [unavailable("once"), Answer::hang()];
        server.script().clear();
        server.script().on(method::UNARY, answers);
        let (request, report) = watched(declared());
        let mut client = client(stack());
        let call = tokio::spawn(async move { client.unary(request).await });
        sleep(drop_after).await;
        call.abort();
        call.await.unwrap_err();
        assert_eq!(report.code(), Some(Code::Cancelled));
        assert_eq!(report.give_up(), Some(GiveUp::Cancelled));
        assert_eq!(report.elapsed(), drop_after);
        assert_eq!(report.attempts(), attempts);
        let failed = report.failed_attempts();
        assert_eq!(failed.len(), cut);
        let last = failed.last().unwrap().verdict.reason;
        let expected = if cut == 1 {
            Reason::Answered
        } else {
            Reason::Dropped
        };
        assert_eq!(last, expected);
    }
}

#[transports::test(start_paused = true)]
async fn an_attempt_that_the_deadline_cuts_is_among_those_that_failed() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    server.script().otherwise(Answer::hang());
    let stack = Resilience::new().default_timeout(SECOND).retry(policy());
    let call = client(stack.wrap(server.channel())).unary(declared()).await;
    let report = CallReport::find(&call.unwrap_err()).unwrap();
    let failed = report.failed_attempts();
    assert_eq!(failed.len(), 2);
    // By our clock or by tonic's.
    assert_eq!(failed[1].verdict.code, Code::DeadlineExceeded);
    assert_eq!(
        (failed[1].began + failed[1].took, report.elapsed()),
        (SECOND, SECOND)
    );
}

#[transports::test(start_paused = true)]
async fn a_failure_after_the_answer_began_is_the_attempt_s_too() {
    let server = Server::in_memory();
    let broken = Answer::status_after_message(
        tonic::Code::Unavailable,
        "half",
        grpc_frame(&EchoResponse::default()),
    );
    server.script().on(method::SERVER_STREAM, [broken]);
    let (request, report) = watched(declared());
    let stack = Resilience::new().wrap(server.channel());
    let mut answers = client(stack)
        .server_stream(request)
        .await
        .unwrap()
        .into_inner();
    while let Ok(Some(_)) = answers.message().await {}
    assert_eq!(report.give_up(), Some(GiveUp::Committed));
    assert_eq!(report.failed_attempts().len(), 1);
}

/// What somebody's layer makes of an answer that it does not like.
struct BadAnswer<T>(#[allow(dead_code, reason = "it is held")] Mutex<T>);

impl<T> fmt::Debug for BadAnswer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad answer")
    }
}

impl<T> fmt::Display for BadAnswer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad answer")
    }
}

impl<T> StdError for BadAnswer<T> {}

#[transports::test(start_paused = true)]
async fn an_error_that_holds_a_response_of_ours_leaks_no_report() {
    let server = Server::in_memory();
    let marker = Arc::new(());
    let inner = WaitForReadyLayer::new().layer(server.channel());
    let counted = Arc::new(Mutex::new(0));
    let picky = inner.and_then({
        let (marker, counted) = (Arc::clone(&marker), Arc::clone(&counted));
        move |mut response: Response<_>| {
            let mut count = counted.lock().unwrap();
            *count += 1;
            let is_first = *count == 1;
            response.extensions_mut().insert(Arc::clone(&marker));
            async move {
                if is_first {
                    let error = BadAnswer(Mutex::new(response));
                    return Err(tonic::Status::from_error(Box::new(error)).into());
                }
                Ok::<_, grpc_resilience::BoxError>(response)
            }
        }
    });
    let picky = picky.map_err(grpc_resilience::Error::from_inner);
    let retrying = RetryLayer::new(policy().retry_on(Code::Unknown)).layer(picky);
    let (request, report) = watched(declared());
    let answer = client(retrying).unary(request).await.unwrap();
    drop(answer);
    assert_eq!((report.code(), report.attempts()), (Some(Code::Ok), 2));
    drop(report);
    assert_eq!(Arc::strong_count(&marker), 1, "all that was kept is gone");
}

// Over tonic alone: the layer refuses the second call; over ours it makes attempts of its own.
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_fast_does_not_show_the_report_of_the_call_that_found_the_channel_down() {
    let server = Server::in_memory_unstarted();
    let inner = RetryLayer::new(policy()).layer(server.channel());
    let mut client = client(WaitForReadyLayer::new().fail_fast().layer(inner));
    let first = client.unary(undeclared()).await.unwrap_err();
    assert_eq!(CallReport::find(&first).unwrap().attempts(), 4);
    let second = client.unary(undeclared()).await.unwrap_err();
    assert_eq!(GiveUp::find(&second), Some(GiveUp::NotReady));
    assert!(CallReport::find(&second).is_none());
}

#[transports::test(start_paused = true)]
async fn an_answer_that_passes_keeps_its_reason_under_every_stack_with_a_retry_layer() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("no"));
    for_each_stack!(server.channel(), |name, stack| {
        let (mut request, report) = watched(declared());
        request.call_options().never_retry();
        client(stack).unary(request).await.unwrap_err();
        if name.contains("retry") || name.contains("stack") {
            assert_eq!(report.give_up(), Some(GiveUp::SwitchedOff), "{name}");
        }
    });
}

#[transports::test(start_paused = true)]
async fn a_hook_that_hangs_before_the_only_attempt_is_said_to_prepare_it() {
    let server = Server::in_memory();
    let hang = BeforeAttempt::new(|next: NextAttempt| async {
        sleep(60 * SECOND).await;
        Ok(next)
    });
    let (mut request, report) = watched(declared());
    request.call_options().never_retry();
    let retry = RetryLayer::new(policy()).before_attempt(hang);
    let stack = Resilience::new().default_timeout(SECOND).retry_layer(retry);
    let status = client(stack.wrap(server.channel()))
        .unary(request)
        .await
        .unwrap_err();
    assert!(
        status.message().contains("preparing the next attempt"),
        "{status}"
    );
    assert_eq!(report.time_in(Phase::Preparing), SECOND);
    assert_eq!(report.time_in(Phase::Attempt), Duration::ZERO);
}

#[transports::test(start_paused = true)]
async fn a_request_that_is_sent_again_from_further_out_begins_its_report_anew() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(4));
    let (request, report) = watched(declared());
    let mut extensions = request.extensions().clone();
    let mut client = client(Resilience::new().retry(policy()).wrap(server.channel()));
    client.unary(request).await.unwrap_err();
    assert_eq!((report.attempts(), report.failed_attempts().len()), (4, 4));
    sleep(10 * SECOND).await;
    let mut again = declared();
    std::mem::swap(again.extensions_mut(), &mut extensions);
    client.unary(again).await.unwrap();
    assert_eq!((report.attempts(), report.failed_attempts().len()), (1, 0));
    assert!(report.elapsed() < SECOND);
    assert!(report.last_failure().is_none());
}

#[transports::test(start_paused = true)]
async fn an_inner_task_that_goes_on_after_the_expiry_writes_nothing_any_more() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let inner = RetryLayer::new(policy()).layer(server.channel());
    let spawning = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
        let call = tokio::spawn(inner.clone().oneshot(request));
        async move { call.await.unwrap() }
    });
    let bounded = DeadlineLayer::new().default_timeout(SECOND).layer(spawning);
    let (request, report) = watched(declared());
    client(bounded).unary(request).await.unwrap_err();
    assert_eq!((report.phase(), report.elapsed()), (Phase::Over, SECOND));
    server.stop();
    sleep(SECOND).await;
    assert_eq!(report.code(), Some(Code::DeadlineExceeded));
    assert_eq!(report.elapsed(), SECOND);
}

// A call that did not wait says so, whatever others met.
#[transports::test(start_paused = true)]
async fn the_call_that_tests_a_channel_and_finds_it_ready_at_once_has_not_waited() {
    let server = Server::in_memory_unstarted();
    let patient = WaitForReadyLayer::new().fail_fast().backoff(every(SECOND));
    let mut client = client(patient.layer(server.channel()));
    client.unary(undeclared()).await.unwrap_err();
    server.start().await;
    sleep(2 * SECOND).await;
    let (request, report) = watched(undeclared());
    client.unary(request).await.unwrap();
    assert_eq!(report.waits(), 0);
}

// CONTRACT H2: media types have no case.
#[transports::test(start_paused = true)]
async fn the_case_of_a_content_type_says_nothing() {
    let server = Server::in_memory();
    let answer = grpc_frame(&EchoResponse::default());
    let shouting = Answer::status_in_trailers(tonic::Code::Ok, "").frame(answer);
    let shouting = shouting.header_raw("content-type", "Application/GRPC");
    server.script().otherwise(shouting);
    for_each_stack!(server.channel(), |name, stack| {
        let answer = client(stack).unary(declared()).await;
        assert!(answer.is_ok(), "{name}: {answer:?}");
    });
}
