//! What a server says of retrying: pushback and `RetryInfo`. CONTRACT P.

mod malformed;
mod retry_info;

use std::time::Duration;

use grpc_resilience::GiveUp;
use grpc_resilience::backoff::Exponential;
use grpc_resilience::backoff::Jitter;
use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::RetryPolicy;
use testing::{Answer, Server, method};
use tokio::time::Instant;
use tonic::Code;

use crate::support::{
    declared, every, failures, ms, policy, retrying, unavailable, undeclared, waits,
};

/// 10 ms, 20 ms, 40 ms, and so on, exactly; as many attempts as asked.
fn doubling(attempts: u32) -> RetryPolicy {
    let backoff = Exponential::new(ms(10)).unwrap().jitter(Jitter::None);
    policy().backoff(backoff).max_attempts(attempts).unwrap()
}

// CONTRACT P1, P2, P5; PEER-CASES JAVA-pushback, CORE-pushback-delay
#[transports::test(start_paused = true)]
async fn pushback_is_waited_exactly_and_the_backoff_then_starts_anew() {
    let server = Server::in_memory();
    let mut answers = failures(2);
    answers.push(unavailable("busy").pushback("123"));
    answers.push(unavailable("busy").pushback("4567000"));
    answers.extend(failures(2));
    answers.push(unavailable("busy").pushback("0"));
    answers.extend(failures(1));
    server.script().on(method::UNARY, answers);
    let mut client = retrying(&server, doubling(9).max_hint(Duration::MAX));
    client.unary(declared()).await.unwrap();
    assert_eq!(
        waits(&server.calls()),
        [10, 20, 123, 4_567_000, 10, 20, 0, 10]
    );
}

// PEER-CASES GO-pushback-1s; CONTRACT P1
#[transports::test(start_paused = true)]
async fn pushback_is_read_wherever_the_status_stands() {
    let server = Server::in_memory();
    server.script().on(
        method::UNARY,
        [
            unavailable("in the head").pushback("1000"),
            Answer::status_in_trailers(Code::Unavailable, "in trailers").pushback("2000"),
        ],
    );
    let mut request = declared();
    request.call_options().kind(MethodKind::Unary);
    retrying(&server, policy()).unary(request).await.unwrap();
    assert_eq!(waits(&server.calls()), [1_000, 2_000]);
}

// CONTRACT P3; PEER-CASES GO-pushback-negative, -nonnumeric, -multiple, JAVA-pushback-none,
// CORE-pushback-disabled
#[transports::test(start_paused = true)]
async fn pushback_that_is_no_delay_means_do_not_retry() {
    for values in [
        &["-1"][..],
        &["-2147483648"],
        &["xxx"],
        &[""],
        &["1.5"],
        &["01"],
        &["+5"],
        &["5 ms"],
        &["2147483648"],
        &["100", "10"],
        &["100", "100"],
    ] {
        let server = Server::in_memory();
        let busy = unavailable("busy").metadata("x-zone", "b");
        let answer = values.iter().fold(busy, Answer::pushback);
        server.script().on(method::UNARY, [answer]);
        let call = retrying(&server, policy()).unary(declared()).await;
        let status = call.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "busy"),
            "{values:?}"
        );
        assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::PushbackStop));
        assert_eq!(server.count(), 1, "{values:?}");
    }
}

// CONTRACT P4; PEER-CASES JAVA-pushback
#[transports::test(start_paused = true)]
async fn pushback_at_the_last_attempt_changes_nothing() {
    let server = Server::in_memory();
    let busy = unavailable("busy").pushback("5000");
    server.script().always(method::UNARY, busy);
    let start = Instant::now();
    let call = retrying(&server, doubling(3)).unary(declared()).await;
    let status = call.unwrap_err();
    assert_eq!(
        start.elapsed(),
        ms(10_000),
        "no wait after the last attempt"
    );
    assert_eq!(status.message(), "busy");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(server.count(), 3);
}

// CONTRACT P6
#[transports::test(start_paused = true)]
async fn a_delay_does_not_make_a_call_retryable() {
    let fatal = || Answer::status(Code::Internal, "broken");
    for (answer, request, reason) in [
        (fatal().pushback("0"), declared(), GiveUp::CodeNotRetryable),
        (
            fatal().retry_info(ms(5)),
            declared(),
            GiveUp::CodeNotRetryable,
        ),
        (
            unavailable("busy").pushback("0"),
            undeclared(),
            GiveUp::NotIdempotent,
        ),
        (
            unavailable("busy").retry_info(ms(5)),
            undeclared(),
            GiveUp::NotIdempotent,
        ),
    ] {
        let server = Server::in_memory();
        server.script().on(method::UNARY, [answer]);
        let call = retrying(&server, policy()).unary(request).await;
        assert_eq!(GiveUp::find(&call.unwrap_err()), Some(reason));
        assert_eq!(server.count(), 1);
    }
}

// CONTRACT P9
#[transports::test(start_paused = true)]
async fn pushback_beats_retry_info() {
    let server = Server::in_memory();
    server.script().on(
        method::UNARY,
        [
            unavailable("soon").retry_info(ms(900)).pushback("40"),
            unavailable("late").retry_info(ms(5)).pushback("700"),
        ],
    );
    retrying(&server, policy()).unary(declared()).await.unwrap();
    assert_eq!(waits(&server.calls()), [40, 700]);

    server.clear();
    let never = unavailable("never").retry_info(ms(5)).pushback("-1");
    server.script().on(method::UNARY, [never]);
    let call = retrying(&server, policy()).unary(declared()).await;
    assert_eq!(call.unwrap_err().message(), "never");
    assert_eq!(server.count(), 1);
}

// CONTRACT P10; SEEDS A2
#[transports::test(start_paused = true)]
async fn a_hint_past_the_deadline_ends_the_call_at_once_with_the_server_s_status() {
    for (left, answer) in [
        (500, unavailable("busy").pushback("500")),
        (500, unavailable("busy").pushback("2147483647")),
        (500, unavailable("busy").retry_info(ms(500))),
        (500, unavailable("busy").retry_info(ms(86_400_000))),
        (1_000, unavailable("busy").retry_info(ms(2_000))),
    ] {
        let server = Server::in_memory();
        server
            .script()
            .on(method::UNARY, [answer.metadata("x-zone", "b")]);
        let mut request = declared();
        request.set_timeout(ms(left));
        let start = Instant::now();
        let call = retrying(&server, policy()).unary(request).await;
        let status = call.unwrap_err();
        assert_eq!(start.elapsed(), ms(0));
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "busy")
        );
        assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::HintPastDeadline));
        assert_eq!(server.count(), 1);
    }
}

// CONTRACT P8, P10: the hint fits, only the layer's own backoff on top of it does not
#[transports::test(start_paused = true)]
async fn a_floor_that_fits_the_deadline_is_waited_exactly_where_the_backoff_does_not_fit() {
    let slow = policy().backoff(every(ms(700)));
    for (floor, reason) in [
        (100, None),
        (499, None),
        (500, Some(GiveUp::HintPastDeadline)),
    ] {
        let server = Server::in_memory();
        let busy = unavailable("busy").retry_info(ms(floor));
        server.script().on(method::UNARY, [busy]);
        let mut request = declared();
        request.set_timeout(ms(500));
        let call = retrying(&server, slow.clone()).unary(request).await;
        if reason.is_some() {
            assert_eq!(GiveUp::find(&call.unwrap_err()), reason);
            assert_eq!(server.count(), 1);
        } else {
            call.unwrap();
            assert_eq!(waits(&server.calls()), [floor]);
        }
    }
}

// CONTRACT R14: without a hint the same backoff ends the call, by its own name
#[transports::test(start_paused = true)]
async fn a_backoff_past_the_deadline_without_a_hint_is_the_deadline_s() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    let mut request = declared();
    request.set_timeout(ms(500));
    let slow = policy().backoff(every(ms(700)));
    let call = retrying(&server, slow).unary(request).await;
    assert_eq!(GiveUp::find(&call.unwrap_err()), Some(GiveUp::Deadline));
    assert_eq!(server.count(), 1);
}
