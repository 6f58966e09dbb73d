//! A peer that does not speak HTTP/2.

use grpc_resilience::BoxError;
use grpc_resilience::classify::ConnectFault;
use peer::{Connection, Peer, Step};

use super::super::support::{endpoint, failure, failure_over};
use super::{LOST, QUEUED, verdict};
use peer::connector::late;

pub(super) const HTTP1: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";
/// Nine bytes make a frame's head, here of a DATA frame of two bytes on stream 0.
pub(super) const BAD_FRAME: &[u8] = b"\0\0\x02\0\0\0\0\0\0xx";
/// Too short for a frame's head.
const STUB: &[u8] = b"xx";

pub(super) async fn after_the_request(bytes: &'static [u8]) -> BoxError {
    let answer = Connection::silent()
        .then(Step::AwaitStreams(1))
        .then(Step::AwaitRequest)
        .then(Step::Bytes(bytes.into()))
        .then(Step::Close);
    failure_over(answer).await
}

pub(super) async fn before_the_request(bytes: &'static [u8]) -> BoxError {
    let peer = Peer::always(
        Connection::silent()
            .then(Step::Bytes(bytes.into()))
            .then(Step::Close),
    )
    .await;
    let error = failure(&late(&endpoint(peer.uri()))).await;
    assert!(peer.streams_seen().is_empty());
    error
}

// FIELD 4: never "refused"; the request was sent, and who knows what the peer did with it.
// Over tonic alone: ours sends nothing before the SETTINGS and a PING's answer (C1).
#[tokio::test]
async fn http1_or_garbage_after_the_request_may_have_run() {
    for bytes in [HTTP1, BAD_FRAME, STUB] {
        assert_eq!(verdict(&after_the_request(bytes).await), LOST);
    }
}

// FIELD 4: hyper says that it was not sent, and it was not.
#[tokio::test]
async fn http1_or_garbage_before_the_request_was_not_sent() {
    for bytes in [HTTP1, BAD_FRAME, STUB, b""] {
        assert_eq!(verdict(&before_the_request(bytes).await), QUEUED);
    }
}

// FIELD 4: in time with the request it is one of the two.
// Over tonic alone: ours sends nothing before the SETTINGS and a PING's answer (C1).
#[tokio::test]
async fn an_answer_to_the_preface_that_is_not_http2_is_either_and_never_refused() {
    for connection in [
        Connection::http1(),
        Connection::garbage(BAD_FRAME),
        Connection::garbage(STUB),
        Connection::closed(),
    ] {
        let seen = verdict(&failure_over(connection).await);
        assert!(seen == LOST || seen == QUEUED, "{seen:?}");
    }
}

/// What a TLS server says to a client that speaks HTTP/2 without TLS: a fatal alert.
const TLS_ALERT: &[u8] = b"\x15\x03\x01\0\x02\x02\x46";

// CONTRACT R19: `http://` to a server that speaks TLS, or HTTP/1 only
// Over tonic alone: ours sends nothing before the SETTINGS and a PING's answer (C1).
#[tokio::test]
async fn a_server_that_speaks_tls_or_http1_is_named_and_says_what_to_do() {
    for bytes in [TLS_ALERT, HTTP1] {
        let error = grpc_resilience::Error::from_inner(after_the_request(bytes).await);
        assert_eq!(error.connect_fault(), Some(ConnectFault::NotHttp2));
        let message = error.status().message();
        assert!(message.contains("use `https://` if"), "{message}");
    }
    // A peer that breaks the protocol otherwise may be better tomorrow.
    let error = grpc_resilience::Error::from_inner(after_the_request(BAD_FRAME).await);
    assert_eq!(error.connect_fault(), None, "{error:#?}");
}
