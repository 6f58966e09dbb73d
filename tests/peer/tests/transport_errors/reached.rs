//! A stream that may have been processed.

use peer::{Connection, LastStream, Peer, Reason, Step, Stream};

use crate::support::{failure, failure_with, send, watchful};
use crate::{FIN, RST};
use peer::client::{SHORT, call, channel, endpoint, request};

#[tokio::test]
async fn a_stream_at_the_last_id_of_a_goaway_fails_only_as_the_connection_closes_with_an_io_error()
{
    for reason in [
        Reason::NO_ERROR,
        Reason::INTERNAL_ERROR,
        Reason::ENHANCE_YOUR_CALM,
    ] {
        let goaway = Step::GoAway(LastStream::This, reason);
        assert_eq!(
            failure_with([Step::AwaitRequest, goaway.clone(), Step::Close]).await,
            FIN
        );
        assert_eq!(
            failure_with([Step::AwaitRequest, goaway, Step::Settle, Step::Abort]).await,
            RST
        );
    }
}

#[tokio::test]
async fn a_connection_that_closes_mid_call_is_an_io_error() {
    assert_eq!(failure_with([Step::AwaitRequest, Step::Close]).await, FIN);
    assert_eq!(
        failure_with([Step::AwaitRequest, Step::Settle, Step::Abort]).await,
        RST
    );
}

#[tokio::test]
async fn a_stream_reset_for_any_other_reason_is_a_remote_reset_with_that_reason() {
    let reasons = [
        (Reason::NO_ERROR, "NO_ERROR"),
        (Reason::PROTOCOL_ERROR, "PROTOCOL_ERROR"),
        (Reason::INTERNAL_ERROR, "INTERNAL_ERROR"),
        (Reason::CANCEL, "CANCEL"),
        (Reason::ENHANCE_YOUR_CALM, "ENHANCE_YOUR_CALM"),
        (Reason(0x77), "Reason(77)"),
    ];
    for (reason, name) in reasons {
        let expected = format!("transport::Error > hyper::Error > h2::Error(reset remote {name})");
        assert_eq!(failure_with([Step::Reset(reason)]).await, expected);
        assert_eq!(
            failure_with([Step::AwaitRequest, Step::Reset(reason)]).await,
            expected
        );
    }
}

#[tokio::test]
async fn a_keepalive_that_is_not_answered_is_a_hyper_timeout() {
    let no_pong = Connection::new()
        .without_pong()
        .other_streams(Stream::stall());
    let silenced = Connection::new().streams([Stream::ok(b""), Stream::from([Step::Silence])]);
    for connection in [Connection::silent(), no_pong, silenced.clone()] {
        let peer = Peer::start([connection]).await;
        let channel = watchful(&peer).connect_lazy();
        let mut answer = call(&channel).await;
        if answer.is_ok() {
            answer = call(&channel).await;
        }
        let expected = r#"transport::Error > hyper::Error(timeout) > "keep-alive timed out" > "operation timed out""#;
        assert_eq!(failure(answer), expected);
        assert!(call(&channel).await.is_ok(), "the channel connects anew");
        assert_eq!(peer.connections(), 2);
    }
}

#[tokio::test]
async fn a_timeout_of_the_endpoint_or_of_the_call_is_timeout_expired_and_resets_the_stream() {
    let peer = Peer::always(Connection::new().other_streams(Stream::stall())).await;
    let limited = endpoint(peer.uri()).timeout(SHORT).connect_lazy();
    assert_eq!(
        failure(call(&limited).await),
        "transport::Error > TimeoutExpired"
    );

    let mut request = request();
    request
        .headers_mut()
        .insert("grpc-timeout", "100m".parse().unwrap());
    assert_eq!(
        failure(send(channel(&peer), request).await),
        "transport::Error > TimeoutExpired"
    );

    peer.wait_for_resets(2).await;
    assert!(
        peer.resets_received()
            .iter()
            .all(|reset| reset.reason == Reason::CANCEL)
    );
}

#[tokio::test]
async fn a_timeout_while_waiting_for_a_slot_is_timeout_expired_too_though_nothing_was_sent() {
    let peer = Peer::start([Connection::new().max_concurrent_streams(0)]).await;
    let channel = endpoint(peer.uri()).timeout(SHORT).connect().await.unwrap();
    peer.settings_acknowledged(0).await;
    assert_eq!(
        failure(call(&channel).await),
        "transport::Error > TimeoutExpired"
    );
    assert!(peer.streams_seen().is_empty());
}
