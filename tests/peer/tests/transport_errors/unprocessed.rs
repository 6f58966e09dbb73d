//! A stream that was not processed.

use peer::{Connection, LastStream, Reason, Step, Stream};

use crate::support::{failure_over, failure_with};

#[tokio::test]
async fn a_refused_stream_is_a_remote_reset_with_its_reason() {
    let expected = "transport::Error > hyper::Error > h2::Error(reset remote REFUSED_STREAM)";
    assert_eq!(
        failure_over(Connection::new().other_streams(Stream::refuse())).await,
        expected
    );
    assert_eq!(
        failure_with([Step::AwaitRequest, Step::Reset(Reason::REFUSED_STREAM)]).await,
        expected
    );
}

#[tokio::test]
async fn a_stream_above_the_last_id_of_a_goaway_is_a_remote_go_away_whatever_the_reason() {
    let reasons = [
        (Reason::NO_ERROR, "NO_ERROR"),
        (Reason::INTERNAL_ERROR, "INTERNAL_ERROR"),
        (Reason::ENHANCE_YOUR_CALM, "ENHANCE_YOUR_CALM"),
    ];
    for (reason, name) in reasons {
        let expected =
            format!("transport::Error > hyper::Error > h2::Error(go_away remote {name})");
        let goaway = Step::GoAway(LastStream::Below, reason);
        assert_eq!(failure_with([goaway.clone()]).await, expected);
        assert_eq!(
            failure_with([Step::AwaitRequest, goaway.clone(), Step::Close]).await,
            expected
        );
        assert_eq!(
            failure_with([Step::AwaitRequest, goaway, Step::Settle, Step::Abort]).await,
            expected
        );
    }
}
