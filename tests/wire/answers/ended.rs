//! Bodies that end without a status.

use grpc_resilience::Error;
use grpc_resilience::grpc::Code;
use grpc_resilience::retry::RetryLayer;
use peer::{Headers, LastStream, Peer, Reason, Step, Stream};
use tower::{Layer as _, ServiceExt as _};
use transports::Transport;

use super::super::support::{channel, log, request};
use super::{Seen, frames, head_then};

/// What hyper shows as a clean end, with a message before it and without.
pub(super) fn clean_ends() -> Vec<(&'static str, Stream)> {
    let goaway = Step::GoAway(LastStream::Below, Reason::NO_ERROR);
    let no_status = Headers::empty().with("x-zone", "b").ending_the_stream();
    let mut ends = Vec::new();
    for message in [None, Some(&b"half"[..])] {
        ends.extend([
            ("RST_STREAM NO_ERROR", reset(message, Reason::NO_ERROR)),
            (
                "END_STREAM",
                head_then(message, [Step::LastData("".into())]),
            ),
            (
                "trailers without a status",
                head_then(message, [Step::Headers(no_status.clone())]),
            ),
        ]);
        // Over ours it is UNAVAILABLE, see `verdict::answered`.
        if !Transport::current().is_ours() {
            let goaway = head_then(message, [Step::Settle, goaway.clone()]);
            ends.push(("GOAWAY below the stream", goaway));
        }
    }
    ends
}

pub(super) fn reset(message: Option<&[u8]>, reason: Reason) -> Stream {
    head_then(message, [Step::Settle, Step::Reset(reason)])
}

/// The end of the body under the retry layer.
async fn through_the_layer(stream: Stream) -> Option<Error> {
    log::listen();
    let peer = Peer::answering(stream).await;
    let service = RetryLayer::default().layer(channel(&peer));
    let answer = service.oneshot(request()).await.unwrap();
    frames(answer.into_body()).await.2
}

// FIELD 3: hyper hides the reset.
#[transports::test]
async fn the_channel_shows_a_body_without_a_status_as_a_clean_end() {
    for (name, stream) in clean_ends() {
        let seen = Seen::of(stream).await;
        assert!(seen.failed.is_none(), "{name}: {:?}", seen.failed);
        assert!(seen.code().is_none(), "{name}");
    }
}

// FIELD 3, CONTRACT H3
#[transports::test]
async fn a_cancelled_body_fails_and_is_cancelled() {
    for message in [None, Some(&b"half"[..])] {
        let seen = Seen::of(reset(message, Reason::CANCEL)).await;
        assert!(seen.failed.is_some());
        let error = through_the_layer(reset(message, Reason::CANCEL)).await;
        assert_eq!(error.unwrap().code(), Code::Cancelled);
    }
}

// FIELD 3, CONTRACT H2
#[transports::test]
async fn an_answer_that_ends_without_a_status_is_an_unknown_failure_under_the_retry_layer() {
    for (name, stream) in clean_ends() {
        let error = through_the_layer(stream).await;
        assert_eq!(
            error.map(|error| error.code()),
            Some(Code::Unknown),
            "{name}"
        );
    }
}
