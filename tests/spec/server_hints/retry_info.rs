//! `google.rpc.RetryInfo` is a floor. CONTRACT P7, P8; SEEDS A2.

use std::time::Duration;

use grpc_resilience::call::CallOptionsExt;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::retry::RetryLayer;
use prost::Message as _;
use prost_types::Any;
use test_protos::EchoClient;
use testing::{Answer, Server, details, method, retry_info, retry_info_any};
use tonic::Code;
use tower::{Layer as _, ServiceBuilder};

use crate::support::{declared, every, failures, ms, policy, retrying, unavailable, waits};

fn with(details_of: &[Any]) -> Answer {
    unavailable("busy").details(details(Code::Unavailable, "busy", details_of))
}

fn other() -> Any {
    Any {
        type_url: "type.googleapis.com/google.rpc.DebugInfo".to_owned(),
        value: vec![1, 2, 3],
    }
}

/// A `RetryInfo` that Rust's `Duration` could not say.
fn info(seconds: i64, nanos: i32) -> Any {
    let delay = prost_types::Duration { seconds, nanos }.encode_to_vec();
    let mut value = vec![0x0a, u8::try_from(delay.len()).unwrap()];
    value.extend(delay);
    Any {
        value,
        ..retry_info_any(Duration::ZERO)
    }
}

/// The one wait of a call whose first attempt is answered so; the backoff would be 10 ms.
async fn wait_after(answer: Answer) -> u64 {
    let server = Server::in_memory();
    server.script().on(method::UNARY, [answer]);
    retrying(&server, policy()).unary(declared()).await.unwrap();
    let waits = waits(&server.calls());
    assert_eq!(waits.len(), 1);
    waits[0]
}

// SEEDS A2; CONTRACT P8
#[transports::test(start_paused = true)]
async fn retry_info_is_never_undercut_and_chance_adds_a_fifth_at_most() {
    let mut seen = Vec::new();
    for seed in 0..100 {
        let server = Server::in_memory();
        let busy = unavailable("busy").retry_info(ms(300));
        server.script().on(method::UNARY, [busy.clone(), busy]);
        let layer = RetryLayer::new(policy()).seed(seed);
        let mut client = EchoClient::new(layer.layer(server.channel()));
        client.unary(declared()).await.unwrap();
        let waits = waits(&server.calls());
        assert_eq!(waits.len(), 2);
        seen.extend(waits);
    }
    // Up to 360 ms; the timer rounds up to its next millisecond.
    assert!(
        seen.iter().all(|wait| (300..=361).contains(wait)),
        "{seen:?}"
    );
    let spread = seen.iter().max().unwrap() - seen.iter().min().unwrap();
    assert!(
        spread > 30,
        "clients that failed together would return together"
    );
}

// CONTRACT P8
#[transports::test(start_paused = true)]
async fn a_longer_backoff_of_our_own_is_not_shortened_by_retry_info() {
    let server = Server::in_memory();
    let busy = unavailable("busy").retry_info(ms(20));
    server.script().on(method::UNARY, [busy]);
    let slow = policy().backoff(every(ms(400)));
    retrying(&server, slow).unary(declared()).await.unwrap();
    assert_eq!(waits(&server.calls()), [400]);
}

// CONTRACT P5, DESIGN decision 9
#[transports::test(start_paused = true)]
async fn after_retry_info_the_backoff_starts_anew() {
    use grpc_resilience::backoff::{Exponential, Jitter};

    let server = Server::in_memory();
    let mut answers = failures(3);
    answers.push(unavailable("busy").retry_info(ms(300)));
    answers.extend(failures(2));
    server.script().on(method::UNARY, answers);
    let backoff = Exponential::new(ms(10)).unwrap().jitter(Jitter::None);
    let policy = policy().max_attempts(9).unwrap().backoff(backoff);
    retrying(&server, policy).unary(declared()).await.unwrap();
    let waits = waits(&server.calls());
    assert_eq!(waits[..3], [10, 20, 40]);
    assert_eq!(waits[4..], [10, 20]);
}

// CONTRACT P7
#[transports::test(start_paused = true)]
async fn the_first_valid_retry_info_wins_in_any_position() {
    let wanted = retry_info_any(ms(300));
    let later = retry_info_any(ms(9_000));
    for details in [
        vec![wanted.clone()],
        vec![other(), wanted.clone()],
        vec![wanted.clone(), later.clone()],
        vec![other(), info(-1, 0), info(0, -5), wanted, later],
    ] {
        let wait = wait_after(with(&details)).await;
        assert!((300..=361).contains(&wait), "{details:?}: {wait}");
    }
}

// CONTRACT P7
#[transports::test(start_paused = true)]
async fn a_negative_absurd_or_zero_retry_info_means_the_normal_backoff() {
    for any in [
        info(-3, 0),
        info(0, -1),
        info(0, 0),
        info(i64::MAX, 0),
        info(1, i32::MAX),
        other(),
    ] {
        let wait = wait_after(with(std::slice::from_ref(&any))).await;
        assert_eq!(wait, 10, "{any:?}");
    }
}

// CONTRACT P7
#[transports::test(start_paused = true)]
async fn details_are_read_with_padding_and_without() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

    // Some length that needs padding.
    let bytes = (0..3)
        .map(|length| {
            details(
                Code::Unavailable,
                &"x".repeat(length),
                &[retry_info_any(ms(300))],
            )
        })
        .find(|bytes| bytes.len() % 3 != 0)
        .unwrap();
    assert!(STANDARD.encode(&bytes).ends_with('='));
    for encoded in [STANDARD.encode(&bytes), STANDARD_NO_PAD.encode(&bytes)] {
        let wait = wait_after(unavailable("busy").details_raw(&encoded)).await;
        assert!((300..=361).contains(&wait), "{encoded}: {wait}");
    }
}

// CONTRACT P7, R6
#[transports::test(start_paused = true)]
async fn retry_info_in_trailers_is_obeyed_too() {
    let server = Server::in_memory();
    let busy = Answer::status_in_trailers(Code::Unavailable, "busy");
    server
        .script()
        .on(method::UNARY, [busy.details(retry_info(ms(300)))]);
    let mut request = declared();
    request.call_options().kind(MethodKind::Unary);
    retrying(&server, policy()).unary(request).await.unwrap();
    let waits = waits(&server.calls());
    assert!((300..=361).contains(&waits[0]), "{waits:?}");
}

// CONTRACT P8, P10
#[transports::test(start_paused = true)]
async fn no_chance_makes_a_call_give_up_whose_floor_fits_the_deadline() {
    let mut seen = Vec::new();
    for seed in 0..100 {
        let server = Server::in_memory();
        let busy = unavailable("busy").retry_info(ms(3_000));
        server.script().on(method::UNARY, [busy]);
        let channel = ServiceBuilder::new()
            .layer(DeadlineLayer::new().default_timeout(ms(3_300)))
            .layer(RetryLayer::default().seed(seed))
            .service(server.channel());
        let call = EchoClient::new(channel).unary(declared()).await;
        assert!(call.is_ok(), "seed {seed}: {call:?}");
        seen.extend(waits(&server.calls()));
    }
    assert!(seen.iter().all(|wait| (3_000..3_300).contains(wait)));
    assert!(seen.contains(&3_000) && seen.iter().any(|wait| *wait > 3_001));
}
