//! Which failures are retried, how often, and what each attempt carries.

mod backoff;
mod bounds;
mod cancelled;
mod conditions;
mod credentials;
mod hook;
mod hook_outage;
mod kept_request;
mod laws;
mod not_retryable;
mod overrides;
mod policies;
mod readiness;
mod replay_buffer;
mod stack;
mod waiting_share;

use grpc_resilience::GiveUp;
use grpc_resilience::retry::{InvalidPolicy, RetryPolicy};
use testing::{Answer, Server, method};
use tonic::Code;

use crate::support::{
    declared, every, failures, ms, policy, previous_attempts, retrying, unavailable, undeclared,
};

fn already_exists(message: &str) -> Answer {
    Answer::status(Code::AlreadyExists, message)
}

fn go_unary() -> RetryPolicy {
    policy().retry_only_on([Code::AlreadyExists])
}

// CONTRACT R1, R3; PEER-CASES GO-unary, MW-succeeds-third
#[transports::test(start_paused = true)]
async fn an_ok_at_attempt_one_two_or_three_ends_the_call() {
    for attempts in 1..=3 {
        let server = Server::in_memory();
        let failures = (1..attempts).map(|_| already_exists("not yet"));
        server.script().on(method::UNARY, failures);
        let answer = retrying(&server, go_unary()).unary(declared()).await;
        answer.unwrap();
        assert_eq!(server.count(), attempts);
    }
}

// CONTRACT R3; PEER-CASES GO-unary, MW-non-retriable, CORE-retry-non-retriable
#[transports::test(start_paused = true)]
async fn a_fatal_failure_at_attempt_one_two_or_three_is_returned_as_it_is() {
    for attempts in 1..=3_usize {
        let server = Server::in_memory();
        let mut answers: Vec<_> = (1..attempts).map(|_| already_exists("not yet")).collect();
        answers.push(
            Answer::status(Code::Internal, "broken")
                .metadata("x-zone", "b")
                .details([1, 2, 3]),
        );
        server.script().on(method::UNARY, answers);
        let call = retrying(&server, go_unary()).unary(declared()).await;
        let status = call.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Internal, "broken")
        );
        assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
        assert_eq!(status.details(), [1, 2, 3]);
        assert_eq!(GiveUp::find(&status), Some(GiveUp::CodeNotRetryable));
        assert_eq!(server.count(), attempts);
    }
}

// CONTRACT R1, R10; PEER-CASES GO-unary, GO-stream-exceed, CORE-too-many-attempts
#[transports::test(start_paused = true)]
async fn returns_the_last_failure_when_all_attempts_are_made() {
    let server = Server::in_memory();
    server.script().on(
        method::UNARY,
        (1..=9).map(|number| already_exists(&number.to_string())),
    );
    let call = retrying(&server, go_unary()).unary(declared()).await;
    let status = call.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::AlreadyExists, "4")
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::AttemptsExhausted));
    assert_eq!(
        previous_attempts(&server.calls()),
        [None, Some("1"), Some("2"), Some("3")]
    );
}

// CONTRACT R10; PEER-CASES JAVA-attempts-header
#[transports::test(start_paused = true)]
async fn the_attempts_header_is_ours_whatever_the_caller_put_there() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(2));
    let mut request = declared();
    for value in ["7", "8"] {
        request
            .metadata_mut()
            .append("grpc-previous-rpc-attempts", value.parse().unwrap());
    }
    retrying(&server, policy()).unary(request).await.unwrap();
    let sent: Vec<Vec<_>> = server
        .calls()
        .iter()
        .map(|call| {
            let all = call.metadata.get_all("grpc-previous-rpc-attempts");
            all.iter().cloned().collect()
        })
        .collect();
    assert_eq!(sent, [vec![], vec!["1"], vec!["2"]]);
}

// CONTRACT R1, D7
#[transports::test(start_paused = true)]
async fn a_policy_without_a_count_goes_on_until_the_deadline() {
    let until_deadline = RetryPolicy::until_deadline().backoff(every(ms(100)));

    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(30));
    let mut client = retrying(&server, until_deadline.clone());
    client.unary(declared()).await.unwrap();
    assert_eq!(server.count(), 31);

    server.clear();
    server.script().always(method::UNARY, unavailable("down"));
    let mut request = declared();
    request.set_timeout(ms(1_050));
    let status = client.unary(request).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "down")
    );
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    assert_eq!(server.count(), 11);
}

// CONTRACT R5
#[transports::test(start_paused = true)]
async fn more_than_five_attempts_set_in_code_are_taken_as_given() {
    let server = Server::in_memory();
    server.script().always(method::UNARY, unavailable("down"));
    let seven = policy().max_attempts(7).unwrap();
    let call = retrying(&server, seven).unary(declared()).await;
    call.unwrap_err();
    assert_eq!(server.count(), 7);
}

#[test]
fn a_policy_of_no_attempt_is_refused_at_construction() {
    let refused = RetryPolicy::new().max_attempts(0).unwrap_err();
    assert_eq!(refused, InvalidPolicy::ZeroAttempts);
}

// CONTRACT R12; PEER-CASES CORE-retry-disabled
#[transports::test(start_paused = true)]
async fn a_call_that_is_never_retried_is_sent_once_and_its_failure_comes_as_it_is() {
    use grpc_resilience::call::CallOptionsExt as _;

    let server = Server::in_memory();
    server.script().always(
        method::UNARY,
        unavailable("down").pushback("0").metadata("x-zone", "b"),
    );
    let mut request = declared();
    request.call_options().never_retry();
    let call = retrying(&server, policy()).unary(request).await;
    let status = call.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "down")
    );
    assert_eq!(status.metadata().get("x-zone").unwrap(), "b");
    assert_eq!(GiveUp::find(&status), None);
    assert_eq!(server.count(), 1);
}

// CONTRACT R16, H2
#[transports::test(start_paused = true)]
async fn an_answer_without_a_status_is_retried_by_its_http_status() {
    use http::StatusCode;

    for (http, content_type, code, attempts) in [
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "text/html",
            Code::Unavailable,
            4,
        ),
        (
            StatusCode::TOO_MANY_REQUESTS,
            "text/html",
            Code::Unavailable,
            4,
        ),
        (StatusCode::BAD_GATEWAY, "", Code::Unavailable, 4),
        (StatusCode::NOT_FOUND, "text/html", Code::Unimplemented, 1),
        (
            StatusCode::UNAUTHORIZED,
            "text/html",
            Code::Unauthenticated,
            1,
        ),
        (StatusCode::OK, "text/html", Code::Unknown, 1),
    ] {
        let server = Server::in_memory();
        let page = Answer::http(http, content_type, "<html>sorry</html>");
        server.script().always(method::UNARY, page);
        let call = retrying(&server, policy()).unary(declared()).await;
        assert_eq!(call.unwrap_err().code(), code, "{http}");
        assert_eq!(server.count(), attempts, "{http}");
    }
}

// CONTRACT I3
#[transports::test(start_paused = true)]
async fn without_a_declaration_an_answered_call_is_not_repeated() {
    let server = Server::in_memory();
    server.script().on(method::UNARY, failures(1));
    let call = retrying(&server, policy()).unary(undeclared()).await;
    let status = call.unwrap_err();
    assert_eq!(status.message(), "failure 1");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
    assert_eq!(server.count(), 1);
}

// CONTRACT R12, X1: through the raw peer, for no server refuses a stream on demand
#[transports::test]
async fn a_call_that_is_never_retried_is_not_retried_transparently_either() {
    use grpc_resilience::call::CallOptionsExt as _;
    use grpc_resilience::retry::RetryLayer;
    use peer::{Connection, Peer, Stream};
    use test_protos::EchoClient;
    use tower::Layer as _;

    for never in [true, false] {
        let refusing = Connection::new().streams([Stream::refuse()]);
        let peer = Peer::always(refusing).await;
        let channel = RetryLayer::new(policy()).layer(transports::Channel::to(peer.uri()));
        let mut request = undeclared();
        if never {
            request.call_options().never_retry();
        }
        let call = EchoClient::new(channel).unary(request).await;
        assert_eq!(call.is_err(), never);
        assert_eq!(peer.streams_seen().len(), if never { 1 } else { 2 });
    }
}
