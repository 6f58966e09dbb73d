//! Failures that no later attempt can cure.

use std::time::Duration;

use grpc_resilience::__internal;
use grpc_resilience::GiveUp;
use grpc_resilience::call::CallOptions;
use grpc_resilience::classify::{Reason, Verdict};
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::{Outcome, Plan, Policy, RetryLayer, RetryPolicy};
use test_protos::EchoClient;
use testing::{Answer, Server, method};
use tonic::{Code, Status};
use tower::Layer as _;

use crate::support::{client, declared, ms, policy, retrying};

/// What each library says of a message or of metadata over a limit, with figures as it prints them.
const OVER_A_LIMIT: [(Code, &str); 33] = [
    // grpc-go
    (
        Code::ResourceExhausted,
        "grpc: received message larger than max (4892686 vs. 4194304)",
    ),
    (
        Code::ResourceExhausted,
        "grpc: received message larger than max length allowed on current machine (9 vs. 8)",
    ),
    (
        Code::ResourceExhausted,
        "grpc: message after decompression larger than max (4892686 vs. 4194304)",
    ),
    (
        Code::ResourceExhausted,
        "grpc: received message after decompression larger than max 4194304",
    ),
    (
        Code::ResourceExhausted,
        "trying to send message larger than max (1048791 vs. 10240)",
    ),
    (
        Code::ResourceExhausted,
        "grpc: message too large (4294967296 bytes)",
    ),
    // C-core: C++, Python, Ruby
    (
        Code::ResourceExhausted,
        "Received message larger than max (5308389 vs. 4194304)",
    ),
    (
        Code::ResourceExhausted,
        "Sent message larger than max (5308389 vs. 4194304)",
    ),
    (
        Code::ResourceExhausted,
        "SERVER: Received message larger than max (5308389 vs. 4194304)",
    ),
    (
        Code::ResourceExhausted,
        "received metadata size exceeds soft limit (15093 vs. 8192);  :path:50B",
    ),
    (
        Code::ResourceExhausted,
        "received metadata size exceeds hard limit (value length 200000 vs. 16384)",
    ),
    // C-core until 2023
    (
        Code::ResourceExhausted,
        "received initial metadata size exceeds limit",
    ),
    (
        Code::ResourceExhausted,
        "received initial metadata size exceeds soft limit (10764 vs. 8192), rejecting requests \
         with some random probability",
    ),
    (
        Code::ResourceExhausted,
        "received trailing metadata size exceeds limit",
    ),
    (
        Code::ResourceExhausted,
        "to-be-sent initial metadata size exceeds peer limit",
    ),
    (
        Code::ResourceExhausted,
        "to-be-sent trailing metadata size exceeds peer limit",
    ),
    // grpc-java
    (
        Code::ResourceExhausted,
        "gRPC message exceeds maximum size 4194304: 5118829",
    ),
    (
        Code::ResourceExhausted,
        "Decompressed gRPC message exceeds maximum size 4194304",
    ),
    (
        Code::ResourceExhausted,
        "message too large 5118829 > 4194304",
    ),
    (
        Code::ResourceExhausted,
        "Client Headers of size 9000 exceeded Metadata size soft limit: 8192",
    ),
    (
        Code::ResourceExhausted,
        "Request metadata larger than 8192: 9000",
    ),
    // grpc-dotnet
    (
        Code::ResourceExhausted,
        "Received message exceeds the maximum configured message size.",
    ),
    (
        Code::ResourceExhausted,
        "Sending message exceeds the maximum configured message size.",
    ),
    // grpc-js
    (
        Code::ResourceExhausted,
        "Received message larger than max (4561623 vs 4194304)",
    ),
    (
        Code::ResourceExhausted,
        "Received message that decompresses to a size larger than 65536",
    ),
    (
        Code::ResourceExhausted,
        "Attempted to send message with a size larger than 65536",
    ),
    // connect-go, connect-es
    (
        Code::ResourceExhausted,
        "message size 5308389 is larger than configured max 4194304",
    ),
    (
        Code::ResourceExhausted,
        "message size 5308389 exceeds sendMaxBytes 4194304",
    ),
    (
        Code::ResourceExhausted,
        "message is larger than configured readMaxBytes 4194304 after decompression",
    ),
    (
        Code::ResourceExhausted,
        "message size 5308389 is larger than configured writeMaxBytes 4194304",
    ),
    // tonic
    (
        Code::ResourceExhausted,
        "Error decompressing: size limit, of 65536 bytes, exceeded while decompressing message",
    ),
    (
        Code::OutOfRange,
        "Error, decoded message length too large: found 5308389 bytes, the limit is: 4194304 bytes",
    ),
    // Envoy's reverse transcoder
    (Code::ResourceExhausted, "Request entity too large"),
];

fn everything() -> RetryPolicy {
    policy().retry_only_on((1..=16).map(Code::from_i32))
}

/// How often a call is sent to a server that always answers so, and how it ends.
async fn answered_with(answer: Answer, policy: RetryPolicy) -> (usize, Status) {
    let server = Server::in_memory();
    server.script().always(method::UNARY, answer);
    let call = retrying(&server, policy).unary(declared()).await;
    (server.count(), call.unwrap_err())
}

// CONTRACT R15
#[transports::test(start_paused = true)]
async fn what_is_over_a_size_limit_is_sent_once_whatever_library_says_so() {
    for (code, message) in OVER_A_LIMIT {
        let answer = Answer::status(code, message);
        let (sent, status) = answered_with(answer, everything()).await;
        assert_eq!((status.code(), status.message()), (code, message));
        assert_eq!(sent, 1, "{message}");
        assert_eq!(GiveUp::find(&status), Some(GiveUp::CodeNotRetryable));
    }
}

// CONTRACT R15
#[transports::test(start_paused = true)]
async fn overload_and_other_words_for_a_limit_are_retried() {
    for message in [
        "the queue is full",
        "Bandwidth exhausted",
        "Too many active requests for the connection",
        "rate limit exceeded: the next cell is free in 3ms",
        "max queue size reached: 1000 requests",
        "queue of 1001 is larger than max 1000",
        "the backlog exceeds maximum size 1000",
        "the queue is larger than configured max 1000",
        "queue length too large",
    ] {
        let answer = Answer::status(Code::ResourceExhausted, message);
        let (sent, _) = answered_with(answer, everything()).await;
        assert_eq!(sent, 4, "{message}");
    }
}

// CONTRACT R15: hyper's server says so of a header list that is too large, and proxies of a request
#[transports::test(start_paused = true)]
async fn an_http_status_for_what_is_too_large_is_not_retried() {
    use http::StatusCode;

    for (http, attempts) in [
        (StatusCode::PAYLOAD_TOO_LARGE, 1),
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, 1),
        (StatusCode::INTERNAL_SERVER_ERROR, 4),
    ] {
        let (sent, status) = answered_with(Answer::http(http, "", ""), everything()).await;
        assert_eq!(status.code(), Code::Unknown, "{http}");
        assert_eq!(sent, attempts, "{http}");
    }
}

// CONTRACT R15
#[transports::test(start_paused = true)]
async fn a_size_limit_in_trailers_of_a_method_that_answers_once_is_final_too() {
    use grpc_resilience::call::CallOptionsExt as _;

    for (message, attempts) in [
        ("Received message larger than max (5 vs. 4)", 1),
        ("busy", 4),
    ] {
        let server = Server::in_memory();
        let answer = Answer::status_in_trailers(Code::ResourceExhausted, message);
        server.script().always(method::UNARY, answer);
        let mut request = declared();
        request.call_options().kind(MethodKind::Unary);
        let call = retrying(&server, everything()).unary(request).await;
        call.unwrap_err();
        assert_eq!(server.count(), attempts, "{message}");
    }
}

// CONTRACT R15: a limit of a client below ours comes as its status
#[test]
fn a_status_of_a_layer_below_says_it_too() {
    let status = |message: &str| __internal::failure(&Status::resource_exhausted(message)).reason;
    let said = status("trying to send message larger than max (1048791 vs. 10240)");
    assert_eq!(said, Reason::MessageTooLarge);
    assert_eq!(status("busy"), Reason::ForeignStatus);
}

const NO_CODES: [&str; 10] = [
    "17", "99", "300", "-1", "abc", "", "014", "14 ", "+14", "1e1",
];

// CONTRACT R16
#[transports::test(start_paused = true)]
async fn a_status_that_is_no_code_is_unknown_and_sent_once_whatever_is_retryable() {
    for text in NO_CODES {
        for policy in [policy(), policy().retry_on(Code::Unknown), everything()] {
            let answer = Answer::status(Code::Unavailable, "down").metadata("grpc-status", text);
            let (sent, status) = answered_with(answer, policy).await;
            assert_eq!((status.code(), status.message()), (Code::Unknown, "down"));
            assert_eq!(sent, 1, "{text:?}");
        }
    }
}

// CONTRACT R16: one that is there twice is one code if it says the same
#[transports::test(start_paused = true)]
async fn a_status_that_is_several_codes_is_sent_once() {
    use grpc_resilience::call::CallOptionsExt as _;

    for (second, attempts) in [("17", 1), ("13", 1), ("0", 1), ("", 1), ("14", 4)] {
        for make in [Answer::status, Answer::status_in_trailers] {
            let twice = |text: &str| {
                let answer = make(Code::Unavailable, "down".to_owned());
                answer
                    .metadata("grpc-status", "14")
                    .metadata("grpc-status", text)
            };
            let server = Server::in_memory();
            server.script().always(method::UNARY, twice(second));
            let mut request = declared();
            request.call_options().kind(MethodKind::Unary);
            let call = retrying(&server, policy()).unary(request).await;
            call.unwrap_err();
            assert_eq!(server.count(), attempts, "{second:?}");
        }
    }
}

// CONTRACT R16
#[transports::test(start_paused = true)]
async fn unknown_itself_is_retried_where_the_policy_says_so() {
    let answer = Answer::status(Code::Unknown, "raft proposal dropped");
    let (sent, _) = answered_with(answer, policy().retry_on(Code::Unknown)).await;
    assert_eq!(sent, 4);
}

// CONTRACT R16
#[transports::test(start_paused = true)]
async fn neither_a_pushback_nor_retry_info_makes_it_retryable() {
    let answer = Answer::status(Code::Unavailable, "down").metadata("grpc-status", "99");
    for answer in [answer.clone().pushback("0"), answer.retry_info(ms(1))] {
        let (sent, _) = answered_with(answer, everything()).await;
        assert_eq!(sent, 1);
    }
}

/// A policy of somebody's own that retries whatever it is asked about.
#[derive(Debug)]
struct Stubborn;

impl Policy for Stubborn {
    fn decide(&self, outcome: &Outcome<'_>) -> Plan {
        if outcome.attempts >= 4 {
            return Plan::Stop(GiveUp::Policy("four times"));
        }
        Plan::retry(ms(1))
    }

    fn is_charged(&self, _: &Verdict, _: &CallOptions) -> bool {
        false
    }
}

// CONTRACT R15, R16
#[transports::test(start_paused = true)]
async fn no_policy_of_a_user_s_own_retries_what_cannot_be_cured() {
    let too_large = "Received message that decompresses to a size larger than 65536";
    for (answer, attempts) in [
        (Answer::status(Code::ResourceExhausted, too_large), 1),
        (
            Answer::status(Code::Internal, "x").metadata("grpc-status", "99"),
            1,
        ),
        (Answer::status(Code::Internal, "x"), 4),
    ] {
        let server = Server::in_memory();
        server.script().always(method::UNARY, answer);
        let layered = RetryLayer::new(Stubborn).layer(server.channel());
        let call = EchoClient::new(layered).unary(declared()).await;
        call.unwrap_err();
        assert_eq!(server.count(), attempts);
    }
}

// CONTRACT R15, R16: as an ordinary call
#[transports::test(start_paused = true)]
async fn the_whole_stack_knows_them_too() {
    let too_large = "message too large 5118829 > 4194304";
    for (answer, attempts) in [
        (Answer::status(Code::ResourceExhausted, too_large), 1),
        (
            Answer::status(Code::Unknown, "x").metadata("grpc-status", "99"),
            1,
        ),
        (Answer::status(Code::Unknown, "x"), 4),
    ] {
        let server = Server::in_memory();
        server.script().always(method::UNARY, answer);
        let stack = grpc_resilience::Resilience::new()
            .default_timeout(Duration::from_secs(60))
            .idempotent("/test.v1.Echo/*")
            .unwrap()
            .retry(everything())
            .wrap(server.channel());
        let call = client(stack).unary(crate::support::undeclared()).await;
        call.unwrap_err();
        assert_eq!(server.count(), attempts);
    }
}
