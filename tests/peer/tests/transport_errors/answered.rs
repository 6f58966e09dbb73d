//! After the head of the response.

use peer::{Connection, Gate, Headers, Peer, Reason, Step};

use crate::support::{outcome, watchful};
use peer::client::{call, channel};

async fn body_over(peer: &Peer) -> tonic::body::Body {
    call(&channel(peer)).await.unwrap().into_body()
}

#[tokio::test]
async fn a_reset_after_the_head_is_a_status_of_the_body_over_the_remote_reset() {
    let reasons = [
        (Reason::REFUSED_STREAM, "REFUSED_STREAM"),
        (Reason::PROTOCOL_ERROR, "PROTOCOL_ERROR"),
        (Reason::INTERNAL_ERROR, "INTERNAL_ERROR"),
        (Reason::CANCEL, "CANCEL"),
        (Reason::ENHANCE_YOUR_CALM, "ENHANCE_YOUR_CALM"),
    ];
    for (reason, name) in reasons {
        let expected = format!("Status > hyper::Error > h2::Error(reset remote {name})");
        let bare = [
            Step::AwaitRequest,
            Step::Headers(Headers::response()),
            Step::Reset(reason),
        ];
        let peer = Peer::always(Connection::new().other_streams(bare.into())).await;
        assert_eq!(
            outcome(body_over(&peer).await).await,
            (vec![], expected.clone())
        );

        let head = Headers::response();
        let data = [
            Step::AwaitRequest,
            Step::Headers(head),
            Step::message(b"x"),
            Step::Reset(reason),
        ];
        let peer = Peer::always(Connection::new().other_streams(data.into())).await;
        assert_eq!(
            outcome(body_over(&peer).await).await,
            (b"\0\0\0\0\x01x".to_vec(), expected)
        );
    }
}

#[tokio::test]
async fn a_reset_without_error_after_the_head_is_a_clean_end_without_a_status() {
    let head = Headers::response();
    let steps = [
        Step::AwaitRequest,
        Step::Headers(head),
        Step::message(b""),
        Step::Reset(Reason::NO_ERROR),
    ];
    let peer = Peer::always(Connection::new().other_streams(steps.into())).await;
    assert_eq!(
        outcome(body_over(&peer).await).await,
        (vec![0; 5], "end".to_owned())
    );
}

#[tokio::test]
async fn a_connection_that_ends_after_the_head_is_a_status_of_the_body_over_an_h2_io_error() {
    for (end, kind) in [
        (Step::Close, "BrokenPipe"),
        (Step::Abort, "ConnectionReset"),
    ] {
        let gate = Gate::new();
        let steps = [
            Step::AwaitRequest,
            Step::Headers(Headers::response()),
            Step::Gate(gate.clone()),
            Step::Settle,
            end,
        ];
        let peer = Peer::always(Connection::new().other_streams(steps.into())).await;
        let body = body_over(&peer).await;
        gate.open();
        assert_eq!(
            outcome(body).await,
            (
                vec![],
                format!("Status > hyper::Error > h2::Error(io {kind})")
            )
        );
    }
}

#[tokio::test]
async fn a_keepalive_that_is_not_answered_after_the_head_is_no_timeout_but_an_h2_io_error() {
    let steps = [
        Step::AwaitRequest,
        Step::Headers(Headers::response()),
        Step::Silence,
    ];
    let peer = Peer::always(Connection::new().other_streams(steps.into())).await;
    let channel = watchful(&peer).connect_lazy();
    let body = call(&channel).await.unwrap().into_body();
    assert_eq!(
        outcome(body).await,
        (
            vec![],
            "Status > hyper::Error > h2::Error(io BrokenPipe)".to_owned()
        )
    );
}
