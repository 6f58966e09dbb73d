//! What a caller learns of a call: while it runs, when it succeeded, and when it failed.

mod foreign_layers;
mod give_up;
mod handle;

use grpc_resilience::classify::{Progress, Reason};
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::grpc::Code;
use grpc_resilience::report::Phase;
use grpc_resilience::retry::RetryPolicy;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{CallOptionsExt as _, CallReport, GiveUp, Resilience};
use std::error::Error as _;
use std::time::Duration;
use testing::{Answer, Server, details, method};
use tokio::time::sleep;
use tonic::Extensions;
use tower::Layer as _;
use transports::Transport;

use crate::support::{
    SECOND, client, declared, every, failures, hello, ms, ours, policy, retrying, unavailable,
    undeclared,
};

/// The report in the extensions of a response.
fn of(extensions: &Extensions) -> CallReport {
    extensions.get::<CallReport>().cloned().unwrap()
}

// DESIGN decision 13
#[transports::test(start_paused = true)]
async fn a_success_reports_its_attempts_waits_and_the_time_in_each_phase() {
    let server = Server::in_memory();
    let slow = |number| unavailable(&format!("failure {number}")).after(ms(30));
    server.script().on(method::UNARY, [slow(1), slow(2)]);
    let answer = retrying(&server, policy()).unary(declared()).await.unwrap();
    let report = of(answer.extensions());
    assert_eq!(report.attempts(), 3);
    assert_eq!(report.transparent_retries(), 0);
    assert_eq!(report.waits(), 2 + Transport::first_waits());
    assert_eq!(report.time_in(Phase::Backoff).as_millis() / 10, 2);
    assert_eq!(report.time_in(Phase::Attempt).as_millis() / 10, 6);
    assert_eq!(report.time_in(Phase::NotReady), Duration::ZERO);
    assert_eq!(report.phase(), Phase::Over);
    assert_eq!((report.code(), report.give_up()), (Some(Code::Ok), None));
    assert_eq!(
        report.last_failure().unwrap().source().unwrap().to_string(),
        "code: 'The service is currently unavailable', message: \"failure 2\""
    );

    let failed = report.failed_attempts();
    assert_eq!(failed.len(), 2);
    for (attempt, number) in failed.iter().zip(1..) {
        assert_eq!(attempt.number, number);
        assert_eq!(attempt.verdict.code, Code::Unavailable);
        assert_eq!(attempt.verdict.reason, Reason::Answered);
        assert_eq!(attempt.took.as_millis() / 10, 3);
    }
    assert_eq!(failed[0].began, Duration::ZERO);
    assert_eq!(failed[1].began.as_millis() / 10, 4);
}

#[transports::test(start_paused = true)]
async fn the_phases_of_a_report_add_up_to_the_whole_and_stand_still_when_it_is_over() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(2));
    let stack = Resilience::new()
        .default_timeout(SECOND)
        .wrap(server.channel());
    let answer = client(stack).unary(declared()).await.unwrap();
    let report = of(answer.extensions());
    let phases = [
        Phase::Queued,
        Phase::Preparing,
        Phase::Attempt,
        Phase::Backoff,
        Phase::NotReady,
        Phase::Response,
    ];
    let sum = || {
        phases
            .map(|phase| report.time_in(phase))
            .iter()
            .sum::<Duration>()
    };
    let elapsed = report.elapsed();
    assert_eq!(sum(), elapsed);
    sleep(SECOND).await;
    assert_eq!((sum(), report.elapsed()), (elapsed, elapsed));
}

#[transports::test(start_paused = true)]
async fn a_failure_s_chain_of_sources_holds_the_report_beside_the_reason() {
    let server = Server::in_memory();
    let why = details(tonic::Code::Unavailable, "why", &[]);
    let last = unavailable("failure 4")
        .metadata("x-zone", "b")
        .details(&why);
    let answers = failures(3).into_iter().chain([last]);
    server.script().on(method::UNARY, answers);
    let stack = Resilience::new().retry(policy()).wrap(server.channel());
    let status = client(stack).unary(declared()).await.unwrap_err();
    assert_eq!(status.message(), "failure 4");
    assert_eq!(status.details(), &why);
    assert_eq!(status.metadata().get("x-zone").unwrap(), "b");

    let report = CallReport::find(&status).unwrap();
    assert_eq!(report.attempts(), 4);
    assert_eq!(report.failed_attempts().len(), 4);
    assert_eq!(report.code(), Some(Code::Unavailable));
    assert_eq!(report.give_up(), Some(GiveUp::AttemptsExhausted));
    assert_eq!(report.give_up(), GiveUp::find(&status));
    assert_eq!(
        report.last_failure().unwrap().source().unwrap().to_string(),
        "code: 'The service is currently unavailable', message: \"failure 3\""
    );
}

#[transports::test(start_paused = true)]
async fn of_many_failed_attempts_the_last_sixteen_are_kept() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(40));
    let policy = RetryPolicy::until_deadline().backoff(every(ms(1)));
    let answer = retrying(&server, policy).unary(declared()).await.unwrap();
    let report = of(answer.extensions());
    let waits = 40 + Transport::first_waits();
    assert_eq!((report.attempts(), report.waits()), (41, waits));
    let kept: Vec<u32> = report
        .failed_attempts()
        .iter()
        .map(|it| it.number)
        .collect();
    assert_eq!(kept, (25..=40).collect::<Vec<_>>());
}

#[transports::test(start_paused = true)]
async fn a_success_that_went_at_once_carries_a_report_only_if_somebody_asked() {
    let server = Server::in_memory();
    let mut client = retrying(&server, policy());
    let silent = client.unary(declared()).await.unwrap();
    assert!(silent.extensions().get::<CallReport>().is_none());

    let mut request = declared();
    let taken = request.call_report();
    let answer = client.unary(request).await.unwrap();
    let report = of(answer.extensions());
    assert_eq!((report.attempts(), report.code()), (1, Some(Code::Ok)));
    assert_eq!((taken.attempts(), taken.code()), (1, Some(Code::Ok)));
}

#[transports::test(start_paused = true)]
async fn a_layer_without_a_trace_reports_nothing_and_a_bounded_call_without_retry_no_attempts() {
    let server = Server::in_memory();
    let patient = WaitForReadyLayer::new().layer(server.channel());
    let answer = client(patient).unary(hello()).await.unwrap();
    assert!(answer.extensions().get::<CallReport>().is_none());

    let bounded = DeadlineLayer::new().default_timeout(SECOND);
    let mut request = hello();
    let report = request.call_report();
    let mut client = client(bounded.layer(server.channel()));
    client.unary(request).await.unwrap();
    assert_eq!((report.attempts(), report.code()), (0, Some(Code::Ok)));
}

// Over tonic alone: its times are the layer's backoff; ours dials by its own, with jitter (C3).
#[tokio::test(start_paused = true)]
async fn the_time_until_the_channel_was_ready_is_a_phase_of_its_own() {
    let server = Server::in_memory_unstarted();
    let patient = WaitForReadyLayer::new().backoff(every(ms(100)));
    let stack = Resilience::new()
        .wait_for_ready(patient)
        .wrap(server.channel());
    let call = tokio::spawn(async move { client(stack).unary(undeclared()).await });
    sleep(ms(150)).await;
    server.start().await;
    let report = of(call.await.unwrap().unwrap().extensions());
    assert_eq!((report.attempts(), report.waits()), (1, 1));
    assert_eq!(report.time_in(Phase::NotReady).as_millis() / 10, 20);
    assert_eq!(report.time_in(Phase::Backoff), Duration::ZERO);
}

#[transports::test(start_paused = true)]
async fn a_report_is_one_line_for_a_log() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    let answer = retrying(&server, policy()).unary(declared()).await.unwrap();
    let line = of(answer.extensions()).to_string();
    let (head, tail) = line.split_once(" in all; ").unwrap();
    assert!(head.starts_with("OK, 1"), "{line}");
    let waits = 1 + Transport::first_waits();
    let counts = format!("attempts: 2, transparent retries: 0, waits: {waits}; ");
    assert!(tail.starts_with(&counts), "{line}");
    assert!(tail.contains("; waited between attempts 1"), "{line}");
    assert!(
        tail.contains("attempt 1") && tail.contains(": UNAVAILABLE (answered) after "),
        "{line}"
    );
    assert!(!line.contains('\n'));
}

// CONTRACT R17, D5: an expiry says how far the call provably got.
#[transports::test(start_paused = true)]
async fn a_call_that_was_never_sent_expires_as_not_sent_and_one_that_hangs_as_reached() {
    let down = Server::in_memory_unstarted();
    let hanging = Server::in_memory();
    hanging.script().otherwise(Answer::hang());
    let failing = Server::in_memory();
    failing
        .script()
        .next(unavailable("once"))
        .otherwise(Answer::hang());
    for (server, progress) in [
        (down, Progress::NotSent),
        (hanging, Progress::Reached),
        (failing, Progress::Reached),
    ] {
        let stack = Resilience::new()
            .default_timeout(SECOND)
            .wrap(server.channel());
        let status = client(stack).unary(declared()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        let error = crate::support::ours(&status)[0];
        assert_eq!(error.verdict().progress, progress, "{status:?}");
    }
}

// CONTRACT V3, D11: no attempt timeout is set, and tonic's own timer for `grpc-timeout` rang first
#[transports::test(start_paused = true)]
async fn an_attempt_that_the_call_s_deadline_ended_did_not_time_out_by_itself() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    // Without a deadline layer nothing but tonic's timer ends it.
    let mut request = declared();
    request.set_timeout(ms(100));
    let report = request.call_report();
    let mut client = retrying(&server, policy());
    let status = client.unary(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    let failed = report.failed_attempts();
    assert_eq!(failed.len(), 1, "{report}");
    assert_eq!(
        failed[0].verdict.reason,
        Reason::DeadlineExceeded,
        "{report}"
    );
    assert!(
        !report.to_string().contains("attempt_timed_out"),
        "{report}"
    );
}

// CONTRACT V3: whichever layer stands there alone
#[transports::test(start_paused = true)]
async fn without_an_attempt_timeout_no_failure_says_that_one_passed() {
    use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
    use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
    use grpc_resilience::retry::RetryLayer;

    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let late = AttemptTimeoutLayer::new(ms(60_000)).unwrap();
    let mut statuses = Vec::new();
    macro_rules! fails {
        ($layer:expr) => {{
            let mut request = declared();
            request.set_timeout(ms(100));
            let stack = $layer.layer(server.channel());
            statuses.push(client(stack).unary(request).await.unwrap_err());
        }};
    }
    fails!(RetryLayer::new(policy()));
    fails!(RetryLayer::new(RetryPolicy::never()));
    fails!(WaitForReadyLayer::new());
    fails!(late);
    fails!(AdaptiveThrottleLayer::new());
    fails!(grpc_resilience::Resilience::new());
    for status in statuses {
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        let reason = ours(&status)[0].verdict().reason;
        let expected = [Reason::DeadlineExceeded, Reason::TransportTimedOut];
        assert!(expected.contains(&reason), "{status:?}");
    }
    // A timeout of the endpoint itself is none of the call, and is retried.
    let hasty = server.connect_lazy(&server.endpoint().timeout(ms(50)));
    let mut request = declared();
    request.set_timeout(ms(60_000));
    let report = request.call_report();
    let stack = RetryLayer::new(policy().max_attempts(2).unwrap()).layer(hasty);
    client(stack).unary(request).await.unwrap_err();
    let failed = report.failed_attempts();
    let reasons: Vec<_> = failed.iter().map(|it| it.verdict.reason).collect();
    assert_eq!(reasons, [Reason::TransportTimedOut; 2], "{report}");
}
