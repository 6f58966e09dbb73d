//! What counts as a request, what as an accept, and what as neither.

use grpc_resilience::adaptive_throttle::{AdaptiveThrottleLayer, InvalidThrottle};
use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use http::StatusCode;
use test_protos::EchoResponse;
use testing::{Answer, Server, grpc_frame};
use tokio::time::{sleep, timeout};
use tonic::Code;
use tower::{Layer as _, ServiceBuilder};

use super::{counts, overloaded, throttling};
use crate::support::{SECOND, client, hello, ms, settle, untimed};

/// What one call leaves behind that is answered so.
async fn counted(answer: Answer) -> (u64, u64, u64) {
    let server = Server::in_memory();
    server.script().otherwise(answer);
    let (mut client, throttle) = throttling(&server);
    let _ = client.unary(hello()).await;
    counts(&throttle)
}

const ACCEPTED: (u64, u64, u64) = (1, 1, 0);
const REFUSED: (u64, u64, u64) = (1, 0, 0);
const NEITHER: (u64, u64, u64) = (0, 0, 0);

fn frame() -> bytes::Bytes {
    grpc_frame(&EchoResponse::default())
}

#[transports::test(start_paused = true)]
async fn an_answer_is_a_refusal_by_its_code_in_the_head_or_in_trailers_without_a_message() {
    for code in [Code::ResourceExhausted, Code::Unavailable] {
        assert_eq!(counted(Answer::status(code, "no")).await, REFUSED);
        let answer = Answer::status_in_trailers(code, "no");
        assert_eq!(counted(answer).await, REFUSED);
    }
    for code in [Code::Internal, Code::DeadlineExceeded, Code::Cancelled] {
        assert_eq!(counted(Answer::status(code, "no")).await, ACCEPTED);
        let answer = Answer::status_in_trailers(code, "no");
        assert_eq!(counted(answer).await, ACCEPTED);
    }
    assert_eq!(counted(Answer::handler()).await, ACCEPTED);
}

#[transports::test(start_paused = true)]
async fn a_server_that_has_sent_a_message_took_the_call_whatever_its_trailers_say() {
    let answer = Answer::status_after_message(Code::ResourceExhausted, "no more", frame());
    assert_eq!(counted(answer).await, ACCEPTED);
}

// CONTRACT R15
#[transports::test(start_paused = true)]
async fn a_message_too_large_is_no_overload() {
    let message = "grpc: received message larger than max (5 vs. 4)";
    let answer = Answer::status(Code::ResourceExhausted, message);
    assert_eq!(counted(answer).await, ACCEPTED);
}

// CONTRACT H2
#[transports::test(start_paused = true)]
async fn a_proxy_s_page_counts_with_the_code_of_its_http_status() {
    let page = |status| Answer::http(status, "text/html", "sorry");
    assert_eq!(counted(page(StatusCode::TOO_MANY_REQUESTS)).await, REFUSED);
    assert_eq!(counted(page(StatusCode::NOT_FOUND)).await, ACCEPTED);
}

#[transports::test(start_paused = true)]
async fn a_connection_that_is_lost_or_can_not_be_made_is_a_refusal() {
    assert_eq!(counted(Answer::drop_connection()).await, REFUSED);
    let server = Server::in_memory_unstarted();
    let (mut client, throttle) = throttling(&server);
    client.unary(hello()).await.unwrap_err();
    assert_eq!(counts(&throttle), REFUSED);
}

#[transports::test(start_paused = true)]
async fn a_long_stream_is_accepted_with_its_head_and_stays_so_when_it_is_dropped_or_lost() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang_after_head());
    let (mut client, throttle) = throttling(&server);
    let answers = client.server_stream(hello()).await.unwrap();
    assert_eq!(counts(&throttle), ACCEPTED);
    drop(answers);
    settle().await;
    assert_eq!(counts(&throttle), ACCEPTED);

    let mut answers = client.server_stream(hello()).await.unwrap().into_inner();
    server.stop();
    answers.message().await.unwrap_err();
    assert_eq!(counts(&throttle), (2, 2, 0));
}

#[transports::test(start_paused = true)]
async fn calls_that_their_callers_drop_leave_no_trace() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let (mut client, throttle) = throttling(&server);
    for _ in 0..10 {
        timeout(ms(10), client.unary(hello())).await.unwrap_err();
    }
    assert_eq!(server.count(), 10);
    assert_eq!(counts(&throttle), NEITHER);
}

#[transports::test(start_paused = true)]
async fn a_time_out_below_counts_as_neither_unless_its_code_is_a_refusal() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::hang());
    let attempt = AttemptTimeoutLayer::new(ms(100)).unwrap();
    let layers = [
        (AdaptiveThrottleLayer::new(), NEITHER),
        (
            AdaptiveThrottleLayer::new().refused_on(Code::DeadlineExceeded),
            REFUSED,
        ),
    ];
    for (layer, expected) in layers {
        let service = layer.layer(attempt.layer(untimed(&server)));
        let throttle = service.throttle();
        client(service).unary(hello()).await.unwrap_err();
        assert_eq!(counts(&throttle), expected);
    }
}

#[transports::test(start_paused = true)]
async fn which_codes_are_refusals_is_said_at_construction() {
    let aborted = || Answer::status(Code::Aborted, "no");
    let none: [Code; 0] = [];
    let cases = [
        (
            AdaptiveThrottleLayer::new().refused_on(Code::Aborted),
            [REFUSED, REFUSED],
        ),
        (
            AdaptiveThrottleLayer::new().refused_only_on([Code::Aborted]),
            [ACCEPTED, REFUSED],
        ),
        (
            AdaptiveThrottleLayer::new().refused_only_on(none),
            [ACCEPTED, ACCEPTED],
        ),
    ];
    for (layer, expected) in cases {
        for (answer, expected) in [overloaded(), aborted()].into_iter().zip(expected) {
            let server = Server::in_memory();
            server.script().otherwise(answer);
            let service = layer.layer(server.channel());
            let throttle = service.throttle();
            client(service).unary(hello()).await.unwrap_err();
            assert_eq!(counts(&throttle), expected, "{layer:?}");
        }
    }
}

#[transports::test(start_paused = true)]
async fn thirty_idle_days_are_forgotten_and_the_window_moves_on() {
    let server = Server::in_memory();
    server.script().otherwise(overloaded());
    let (mut client, throttle) = throttling(&server);
    client.unary(hello()).await.unwrap_err();
    sleep(119 * SECOND).await;
    assert_eq!(counts(&throttle), REFUSED);
    sleep(2 * SECOND).await;
    assert_eq!(counts(&throttle), NEITHER);

    client.unary(hello()).await.unwrap_err();
    sleep(30 * 24 * 3_600 * SECOND).await;
    assert_eq!(counts(&throttle), NEITHER);
    server.script().otherwise(Answer::handler());
    client.unary(hello()).await.unwrap();
    assert_eq!(counts(&throttle), ACCEPTED);
}

#[transports::test(start_paused = true)]
async fn clones_share_their_counts_and_two_services_of_one_layer_do_not() {
    let server = Server::in_memory();
    let layer = AdaptiveThrottleLayer::new();
    let (one, other) = (layer.layer(server.channel()), layer.layer(server.channel()));
    let (shared, apart) = (one.throttle(), other.throttle());
    for service in [one.clone(), ServiceBuilder::new().service(one)] {
        client(service).unary(hello()).await.unwrap();
    }
    assert_eq!(counts(&shared), (2, 2, 0));
    assert_eq!(counts(&apart), NEITHER);
}

#[test]
fn a_throttle_that_can_not_be_is_refused_at_construction() {
    for k in [0.0, 0.999, -2.0, f64::INFINITY, f64::NEG_INFINITY] {
        let refused = AdaptiveThrottleLayer::new().multiplier(k).unwrap_err();
        assert_eq!(refused, InvalidThrottle::Multiplier(k));
    }
    assert!(AdaptiveThrottleLayer::new().multiplier(f64::NAN).is_err());
    assert!(AdaptiveThrottleLayer::new().multiplier(1.0).is_ok());
    let none = AdaptiveThrottleLayer::new().window(ms(0)).unwrap_err();
    assert_eq!(none, InvalidThrottle::Window);
}
