//! A stream that the server proved not to have processed.

use grpc_resilience::BoxError;
use peer::{LastStream, Reason, Step};

use super::super::support::failure_with;
use super::{GO_AWAY, GO_AWAY_ERROR, REFUSED, verdict};

pub(super) async fn refused() -> BoxError {
    failure_with([Step::Reset(Reason::REFUSED_STREAM)]).await
}

pub(super) async fn above_goaway(reason: Reason) -> BoxError {
    failure_with([Step::GoAway(LastStream::Below, reason)]).await
}

// FIELD 4, CONTRACT X2, H3
#[transports::test]
async fn a_refused_stream_was_not_processed() {
    assert_eq!(verdict(&refused().await), REFUSED);
    let whole = [Step::AwaitRequest, Step::Reset(Reason::REFUSED_STREAM)];
    assert_eq!(verdict(&failure_with(whole).await), REFUSED);
}

// FIELD 4, CONTRACT X2
#[transports::test]
async fn a_stream_above_the_last_id_of_a_goaway_was_not_processed_whatever_the_reason() {
    for reason in [
        Reason::NO_ERROR,
        Reason::PROTOCOL_ERROR,
        Reason::INTERNAL_ERROR,
        Reason::ENHANCE_YOUR_CALM,
        Reason(0x77),
    ] {
        let expected = match reason {
            Reason::NO_ERROR => GO_AWAY,
            _ => GO_AWAY_ERROR,
        };
        assert_eq!(verdict(&above_goaway(reason).await), expected, "{reason:?}");
        let goaway = Step::GoAway(LastStream::Below, reason);
        for end in [
            vec![Step::AwaitRequest, goaway.clone(), Step::Close],
            vec![Step::AwaitRequest, goaway, Step::Settle, Step::Abort],
        ] {
            assert_eq!(verdict(&failure_with(end).await), expected, "{reason:?}");
        }
    }
}
