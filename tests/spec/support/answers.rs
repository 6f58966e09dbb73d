//! What servers answer, and what was recorded of the calls that they got.

use std::time::Duration;

use http::HeaderMap;
use test_protos::EchoResponse;
use testing::{Answer, Call, SECOND, Server, ended, grpc_frame, settle, unavailable};
use tokio::time::Instant;

/// `count` UNAVAILABLE answers, numbered from 1.
pub(crate) fn failures(count: usize) -> Vec<Answer> {
    (1..=count)
        .map(|number| unavailable(&format!("failure {number}")))
        .collect()
}

/// A head and one message, and then nothing more.
pub(crate) fn hang_after_message() -> Answer {
    Answer::hang_after_head().frame(grpc_frame(&EchoResponse::default()))
}

/// `grpc-previous-rpc-attempts`, call by call.
pub(crate) fn previous_attempts(calls: &[Call]) -> Vec<Option<&str>> {
    calls
        .iter()
        .map(|call| call.previous_attempts.as_deref())
        .collect()
}

/// What lay between the arrivals, in whole milliseconds; tokio's timer knows no finer ones.
pub(crate) fn waits(calls: &[Call]) -> Vec<u64> {
    let arrivals = calls.iter().zip(calls.iter().skip(1));
    arrivals
        .map(|(one, next)| u64::try_from((next.at - one.at).as_millis()).unwrap())
        .collect()
}

/// `grpc-timeout`, call by call, in microseconds.
pub(crate) fn timeouts(calls: &[Call]) -> Vec<Option<u128>> {
    calls
        .iter()
        .map(|call| {
            let text = call.timeout.as_deref()?;
            let timeout = grpc_resilience::__internal::parse_timeout(text.as_bytes()).unwrap();
            Some(timeout.as_micros())
        })
        .collect()
}

/// Waits until the server is done with all calls.
pub(crate) async fn all_ended(server: &Server) -> Vec<Call> {
    let waiting = server.wait_until(ended);
    tokio::time::timeout(60 * SECOND, waiting).await.unwrap()
}

/// When the server was dialled, since `start`, each millisecond looked at once.
pub(crate) async fn dial_times(server: &Server, start: Instant, span: Duration) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut seen = 0;
    while start.elapsed() <= span {
        let dials = server.dials();
        times.extend((seen..dials).map(|_| start.elapsed()));
        seen = dials;
        settle().await;
    }
    times
}

/// Headers without their order, which HTTP gives no meaning.
pub(crate) fn sorted(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut pairs: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    pairs.sort();
    pairs
}
