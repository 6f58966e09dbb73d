//! After the head of the response: the body of a layer of ours ends with our error.

use grpc_resilience::classify::{Progress, Reason};
use grpc_resilience::grpc::Code;
use grpc_resilience::retry::RetryLayer;
use grpc_resilience::{BoxError, Error, GiveUp};
use http_body_util::BodyExt as _;
use peer::{Connection, Gate, Headers, LastStream, Peer, Step, Stream};
use tower::{ServiceBuilder, ServiceExt as _};

use super::super::support::{channel, log, request};
use super::reached::RESETS;

/// A head, perhaps a message, and then these steps.
async fn error_after(message: Option<&[u8]>, end: impl IntoIterator<Item = Step>) -> Error {
    log::listen();
    let gate = Gate::new();
    let mut stream = Stream::new()
        .then(Step::AwaitRequest)
        .then(Step::Headers(Headers::response()));
    if let Some(message) = message {
        stream = stream.then(Step::message(message));
    }
    stream = stream.then(Step::Gate(gate.clone()));
    for step in end {
        stream = stream.then(step);
    }
    let peer = Peer::always(Connection::new().other_streams(stream)).await;
    let service = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .service(channel(&peer));
    let answer = service.oneshot(request()).await.unwrap();
    gate.open();
    let error = answer.into_body().collect().await.unwrap_err();
    assert_eq!(error.give_up(), Some(GiveUp::Committed));
    assert_eq!(peer.streams_seen().len(), 1, "{error:?}");
    error
}

pub(super) async fn reset(reason: peer::Reason) -> BoxError {
    error_after(None, [Step::Reset(reason)]).await.into()
}

pub(super) async fn cut(end: Step) -> BoxError {
    error_after(None, [Step::Settle, end]).await.into()
}

// FIELD 4, CONTRACT H3, X4, PEER-CASES GO-transparent-committed
#[transports::test]
async fn a_reset_after_the_head_has_reached_the_application_and_the_code_of_the_table() {
    let refused = (0x7, "REFUSED_STREAM", Code::Unavailable);
    // NO_ERROR is hyper's clean end of a body, see `retry::answers`.
    let resets = RESETS.into_iter().filter(|(reason, ..)| *reason != 0);
    for (reason, name, code) in resets.chain([refused]) {
        for message in [None, Some(&b"x"[..])] {
            let error = error_after(message, [Step::Reset(peer::Reason(reason))]).await;
            let verdict = error.verdict();
            assert_eq!(verdict.progress, Progress::Reached, "{name}");
            assert_eq!((verdict.code, error.code()), (code, code), "{name}");
        }
    }
}

// FIELD 4, CONTRACT X4
#[transports::test]
async fn a_goaway_below_a_stream_that_has_answered_does_not_make_it_unprocessed() {
    // With NO_ERROR hyper ends the body cleanly.
    let goaway = Step::GoAway(LastStream::Below, peer::Reason::PROTOCOL_ERROR);
    let error = error_after(None, [goaway]).await;
    let verdict = error.verdict();
    assert_eq!(
        (verdict.progress, verdict.code),
        (Progress::Reached, Code::Unavailable)
    );
}

// FIELD 4, CONTRACT H4
#[transports::test]
async fn a_connection_that_ends_after_the_head_is_unavailable() {
    for end in [Step::Close, Step::Abort] {
        let error = error_after(None, [Step::Settle, end]).await;
        let verdict = error.verdict();
        assert_eq!(
            (verdict.progress, verdict.code, verdict.reason),
            (Progress::Reached, Code::Unavailable, Reason::ConnectionLost)
        );
    }
}

// CONTRACT H4
// Over tonic alone: the texts and types are hyper's.
#[tokio::test]
async fn the_transport_s_error_stays_the_cause_of_ours() {
    let error = reset(peer::Reason::REFUSED_STREAM).await;
    let error = Error::find(&*error).unwrap();
    let source = std::error::Error::source(error).unwrap();
    assert!(source.is::<tonic::Status>(), "{error:?}");
    let cause = error.cause().map(|cause| cause as &dyn std::error::Error);
    let mut chain = std::iter::successors(cause, |error| (*error).source());
    assert!(
        chain.any(<dyn std::error::Error>::is::<hyper::Error>),
        "{error:?}"
    );
}

// CONTRACT H4
// Over tonic alone: the texts and types are hyper's.
#[tokio::test]
async fn the_message_says_each_link_of_the_chain_once_and_not_what_tonic_makes_of_it() {
    let error = error_after(None, [Step::Reset(peer::Reason::CANCEL)]).await;
    assert_eq!(
        error.status().message(),
        "error reading a body from connection: stream error received: stream no longer needed"
    );
}
