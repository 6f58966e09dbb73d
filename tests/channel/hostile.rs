//! Peers that mean harm (CONTRACT C18).

use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::Channel;
use grpc_resilience::classify::{Progress, Reason};
use grpc_resilience::grpc::Code;
use peer::{Connection, Peer, Step, Stream};

use crate::common::*;

const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// What becomes of a call whose stream meets these steps; it ends in any case, and the next one
/// is answered.
async fn met(steps: impl IntoIterator<Item = Step>) -> Answer {
    let peer = Peer::start([Connection::new().streams([Stream::from(steps)])]).await;
    let channel = channel(&peer).await;
    let answer = tokio::time::timeout(LONG, call(&channel)).await.unwrap();
    let next = tokio::time::timeout(LONG, succeeds(&channel)).await;
    next.expect("the next call is answered");
    answer
}

fn ok_after(bytes: Vec<u8>) -> Vec<Step> {
    vec![
        Step::AwaitRequest,
        Step::Bytes(bytes.into()),
        Step::Headers(peer::Headers::trailers_only(0)),
    ]
}

// CONTRACT C18
#[tokio::test]
async fn some_pings_and_settings_are_answered_and_harm_no_call() {
    assert_eq!(status(met(ok_after(PING.repeat(80))).await).await, 0);
    assert_eq!(status(met(ok_after(SETTINGS.repeat(5))).await).await, 0);
}

/// The WARN events of all calls that meet these steps, on each of three connections.
async fn warnings(steps: Vec<Step>) -> Vec<String> {
    let heard = crate::common::log::Ear::new();
    let stream = || Stream::from(steps.clone());
    let script = || Connection::new().streams([stream(), stream(), stream()]);
    let peer = Peer::start([script(), script(), script()]).await;
    let channel = channel(&peer).await;
    for _ in 0..3 {
        // The second connection in a row that serves no call is redialled after a backoff.
        let mut patient = request();
        patient.call_options().wait_for_ready();
        let failed = tokio::time::timeout(LONG, send(&channel, patient)).await;
        assert_eq!(failed.unwrap().unwrap_err().progress(), Progress::Reached);
    }
    let mut patient = request();
    patient.call_options().wait_for_ready();
    assert_eq!(status(send(&channel, patient).await).await, 0);
    let name = peer.uri().replace("http://", "");
    let text = heard.text();
    let warnings = text.lines().filter(|line| line.starts_with("WARN"));
    let warnings: Vec<String> = warnings.map(str::to_owned).collect();
    assert!(warnings.iter().all(|it| it.contains(&name)), "{warnings:?}");
    warnings
}

fn after_request(bytes: Vec<u8>) -> Vec<Step> {
    vec![Step::AwaitRequest, Step::Bytes(bytes.into())]
}

// CONTRACT C18
#[tokio::test]
async fn a_flood_fails_the_calls_on_its_connection_and_is_told_once() {
    for (flood, name) in [
        (PING.repeat(20_000), "flood of PING frames"),
        (SETTINGS.repeat(20_000), "flood of SETTINGS frames"),
    ] {
        let warnings = warnings(after_request(flood)).await;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(name), "{warnings:?}");
    }
}

// CONTRACT C18
#[tokio::test]
async fn each_breach_of_http_2_is_told_once() {
    let bomb = peer::Headers::response().with("x-bomb", "b".repeat(15_000));
    let bomb = bomb.with("x-bomb-too", "b".repeat(15_000));
    for steps in [
        // A WINDOW_UPDATE of zero, garbage, and headers beyond the limit.
        after_request(vec![0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        after_request(vec![0xff; 1_000]),
        vec![Step::AwaitRequest, Step::Headers(bomb)],
    ] {
        let warnings = warnings(steps).await;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}

// CONTRACT C1, C18
#[tokio::test]
async fn a_server_of_http_1_is_told_once_however_often_it_is_dialled() {
    let heard = crate::common::log::Ear::new();
    let script = Connection::silent()
        .then(Step::AwaitPreface)
        .then(Step::Bytes("HTTP/1.1 400 Bad Request\r\n\r\n".into()));
    let peer = Peer::always(script).await;
    let channel = Channel::builder(peer.uri()).build().unwrap();
    peer.wait_for_connections(4).await;
    let error = call(&channel).await.unwrap_err();
    assert_eq!(error.progress(), Progress::NotSent);
    assert_eq!(heard.count("WARN"), 1, "{}", heard.text());
}

// CONTRACT C18
#[tokio::test]
async fn a_server_that_merely_dies_is_no_breach() {
    let heard = crate::common::log::Ear::new();
    let _ = met([Step::AwaitRequest, Step::Abort]).await;
    assert_eq!(heard.count("WARN"), 0, "{}", heard.text());
}

// CONTRACT C18
#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection_with_a_typed_error() {
    let mut flood = vec![0, 0, 1, 1, 0, 0, 0, 0, 1, 0x88];
    for _ in 0..2_000 {
        flood.extend([0, 4, 0, 9, 0, 0, 0, 0, 1]);
        flood.extend([0x40; 1_024]);
    }
    let error = met([Step::AwaitRequest, Step::Bytes(flood.into())])
        .await
        .unwrap_err();
    assert_eq!(error.progress(), Progress::Reached);
}

// CONTRACT C18
#[tokio::test]
async fn headers_beyond_the_limit_fail_the_call_with_a_typed_error() {
    let bomb = peer::Headers::response().with("x-bomb", "b".repeat(15_000));
    let bomb = bomb.with("x-bomb-too", "b".repeat(15_000));
    let error = met([Step::AwaitRequest, Step::Headers(bomb)]).await;
    let error = error.expect_err("16 KiB are the most");
    assert_eq!(error.progress(), Progress::Reached);
}

// CONTRACT C18
#[tokio::test]
async fn resets_of_unknown_streams_end_the_connection_and_not_the_channel() {
    let resets: Vec<u8> = (0..1_000_u32)
        .flat_map(|it| {
            let stream = (it * 2 + 1_001).to_be_bytes();
            [&[0, 0, 4, 3, 0][..], &stream, &[0, 0, 0, 8]].concat()
        })
        .collect();
    let answer = met([Step::AwaitRequest, Step::Bytes(resets.into())]).await;
    assert_eq!(answer.unwrap_err().progress(), Progress::Reached);
}

// CONTRACT C16, C18
#[tokio::test]
async fn a_peer_that_closes_its_side_alone_loses_its_calls_at_once() {
    let error = met([Step::AwaitRequest, Step::Close]).await.unwrap_err();
    assert_eq!(error.progress(), Progress::Reached);
    assert_eq!(error.verdict().reason, Reason::ConnectionLost);
}

// CONTRACT C18
#[tokio::test]
async fn a_window_of_zero_holds_a_request_until_its_deadline_only() {
    let peer = Peer::always(Connection::new().stream_window(0)).await;
    let channel = channel(&peer).await;
    let mut timed = request();
    timed.call_options().timeout(100 * MS);
    let error = send(&channel, timed).await.unwrap_err();
    assert_eq!(error.verdict().code, Code::DeadlineExceeded);
    until(|| in_flight(&channel) == 0).await;
    peer.wait_for_streams(1).await;
    assert!(!peer.streams_seen()[0].complete);
}

// CONTRACT C2, C18
#[tokio::test]
async fn a_peer_that_says_its_settings_byte_by_byte_is_given_up_in_time() {
    let mut script = Connection::silent().then(Step::AwaitPreface);
    for byte in SETTINGS.into_iter().chain(PING) {
        script = script
            .then(Step::Bytes(Bytes::from(vec![byte])))
            .then(Step::Wait(50 * MS));
    }
    let peer = Peer::always(script).await;
    let channel = Channel::builder(peer.uri())
        .connect_timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let error = call(&channel).await.unwrap_err();
    assert_eq!(error.progress(), Progress::NotSent);
    assert!(error.message().contains("200ms"), "{error:?}");
}

// CONTRACT C3, C18
#[tokio::test]
async fn a_server_that_answers_calls_and_floods_is_not_dialled_again_at_once() {
    let flood = || Stream::from(after_request(PING.repeat(20_000)));
    let script = || Connection::new().streams([Stream::ok(b""), flood()]);
    let peer = Peer::start([script(), script(), script()]).await;
    let start = tokio::time::Instant::now();
    let channel = channel(&peer).await;
    for _ in 0..2 {
        succeeds(&channel).await;
        call(&channel).await.unwrap_err();
    }
    let mut patient = request();
    patient.call_options().wait_for_ready();
    assert_eq!(status(send(&channel, patient).await).await, 0);
    // Two dials are 100 ms apart at least, however long the calls between them took.
    let taken = start.elapsed();
    assert!(taken >= Duration::from_millis(200), "{taken:?}");
}
