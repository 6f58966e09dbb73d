//! What the report says of what only a transport can do; and of two layers where one is enough.

use grpc_resilience::CallReport;
use grpc_resilience::classify::{Progress, Reason as Why};
use grpc_resilience::retry::RetryLayer;
use peer::{Connection, Peer, Reason, Step, Stream};
use tower::{ServiceBuilder, ServiceExt as _};
use transports::Transport;

use super::super::support::{channel, request};
use super::{Client, declared, failed, policy, status_of};

async fn meeting(streams: impl IntoIterator<Item = Stream>) -> Peer {
    Peer::start([Connection::new().streams(streams)]).await
}

// CONTRACT X3
#[transports::test(start_paused = true)]
async fn a_transparent_retry_is_told_from_an_attempt() {
    let peer = meeting([
        Stream::refuse(),
        Stream::status(14, "later"),
        Stream::ok(b""),
    ])
    .await;
    let client = Client::new(channel(&peer), policy(4));
    let answer = client.send(declared(request())).await.unwrap();
    let report = answer.extensions().get::<CallReport>().unwrap().clone();
    assert_eq!(status_of(Ok(answer)).await, "0");
    assert_eq!(report.attempts(), 2);
    assert_eq!(report.transparent_retries(), 1);
    assert_eq!(report.waits(), 2 + Transport::first_waits());
    let seen: Vec<_> = report
        .failed_attempts()
        .iter()
        .map(|it| {
            (
                it.number,
                it.transparent,
                it.verdict.progress,
                it.verdict.reason,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (1, false, Progress::Refused, Why::StreamRefused),
            (1, true, Progress::Answered, Why::Answered),
        ]
    );
}

#[transports::test(start_paused = true)]
async fn a_reset_is_reported_with_its_code_and_reason() {
    let reset = Stream::from([Step::AwaitRequest, Step::Reset(Reason::INTERNAL_ERROR)]);
    let peer = meeting([reset]).await;
    let client = Client::new(channel(&peer), policy(4));
    let error = failed(client.call().await);
    let report = error.report().unwrap();
    let line = report.to_string();
    assert!(line.starts_with("INTERNAL, code_not_retryable, "), "{line}");
    let (_, attempt) = line.split_once("; attempt 1").unwrap();
    // Our channel names the endpoint between them.
    assert!(
        attempt.contains(": INTERNAL (stream_reset) after "),
        "{line}"
    );
}

// FIELD 7.14, PEER-CASES MW-chained
#[transports::test(start_paused = true)]
async fn the_inner_of_two_retry_layers_lets_its_calls_pass() {
    let peer = Peer::always(Connection::new().other_streams(Stream::status(14, "later"))).await;
    let twice = ServiceBuilder::new()
        .layer(RetryLayer::new(policy(3)))
        .layer(RetryLayer::new(policy(3)))
        .service(channel(&peer));
    for calls in [3, 6] {
        let answer = twice.clone().oneshot(declared(request())).await;
        assert_eq!(answer.err().unwrap().attempts(), 3);
        assert_eq!(peer.streams_seen().len(), calls);
    }
}
