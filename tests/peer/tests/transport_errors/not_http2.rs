//! A peer that does not speak HTTP/2.

use peer::{Connection, Peer, Step};

use crate::support::{failure, failure_over};
use crate::{CANCELED, FIN};
use peer::client::{call, endpoint};
use peer::connector::late;

const HTTP1: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";
/// Nine bytes make a frame's head, here of a DATA frame of two bytes on stream 0.
const BAD_FRAME: &[u8] = b"\0\0\x02\0\0\0\0\0\0xx";

#[tokio::test]
async fn http1_or_garbage_after_the_request_is_a_go_away_of_the_library() {
    for (bytes, reason) in [(HTTP1, "FRAME_SIZE_ERROR"), (BAD_FRAME, "PROTOCOL_ERROR")] {
        let expected =
            format!("transport::Error > hyper::Error > h2::Error(go_away library {reason})");
        let answer = Connection::silent()
            .then(Step::AwaitStreams(1))
            .then(Step::AwaitRequest)
            .then(Step::Bytes(bytes.into()));
        assert_eq!(failure_over(answer.clone()).await, expected);
        assert_eq!(failure_over(answer.then(Step::Close)).await, expected);
    }
}

#[tokio::test]
async fn garbage_too_short_for_a_frames_length_is_an_io_error_without_a_kind() {
    let answer = Connection::silent()
        .then(Step::AwaitStreams(1))
        .then(Step::Bytes(b"xx"[..].into()))
        .then(Step::Close);
    assert_eq!(
        failure_over(answer).await,
        r#"transport::Error > hyper::Error > io::Error(Other of "bytes remaining on stream")"#
    );
}

#[tokio::test]
async fn http1_or_garbage_or_an_end_before_the_request_is_canceled() {
    for bytes in [HTTP1, BAD_FRAME, b"xx"] {
        let peer = Peer::always(
            Connection::silent()
                .then(Step::Bytes(bytes.into()))
                .then(Step::Close),
        )
        .await;
        assert_eq!(failure(call(&late(&endpoint(peer.uri()))).await), CANCELED);
        assert!(peer.streams_seen().is_empty());
    }
    let peer = Peer::always(Connection::closed()).await;
    assert_eq!(failure(call(&late(&endpoint(peer.uri()))).await), CANCELED);
}

#[tokio::test]
async fn an_answer_to_the_preface_is_either() {
    for connection in [Connection::http1(), Connection::closed()] {
        let chain = failure_over(connection).await;
        let sent = chain.contains("h2::Error(go_away library FRAME_SIZE_ERROR)") || chain == FIN;
        assert!(sent || chain == CANCELED, "{chain}");
    }
}
