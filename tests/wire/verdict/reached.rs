//! A stream that may have been processed.

use grpc_resilience::BoxError;
use grpc_resilience::classify::{Progress, Reason};
use grpc_resilience::grpc::Code;
use peer::{Connection, LastStream, Peer, Step, Stream};
use tower::ServiceExt as _;

use super::super::support::{SHORT, call, channel, endpoint, failed, failure_with, request};
use super::{LOST, Seen, verdict};

pub(super) const TIMED_OUT: Seen = (
    Progress::Reached,
    Code::DeadlineExceeded,
    Reason::TransportTimedOut,
);
const KEEPALIVE: Seen = (
    Progress::Reached,
    Code::Unavailable,
    Reason::KeepaliveTimeout,
);

/// CONTRACT H3, and the reasons it leaves out.
pub(super) const RESETS: [(u32, &str, Code); 14] = [
    (0x0, "NO_ERROR", Code::Internal),
    (0x1, "PROTOCOL_ERROR", Code::Internal),
    (0x2, "INTERNAL_ERROR", Code::Internal),
    (0x3, "FLOW_CONTROL_ERROR", Code::Internal),
    (0x4, "SETTINGS_TIMEOUT", Code::Internal),
    (0x5, "STREAM_CLOSED", Code::Internal),
    (0x6, "FRAME_SIZE_ERROR", Code::Internal),
    (0x8, "CANCEL", Code::Cancelled),
    (0x9, "COMPRESSION_ERROR", Code::Internal),
    (0xa, "CONNECT_ERROR", Code::Internal),
    (0xb, "ENHANCE_YOUR_CALM", Code::ResourceExhausted),
    (0xc, "INADEQUATE_SECURITY", Code::PermissionDenied),
    (0xd, "HTTP_1_1_REQUIRED", Code::Internal),
    (0x77, "no known reason", Code::Internal),
];

pub(super) async fn reset(reason: u32) -> BoxError {
    failure_with([Step::AwaitRequest, Step::Reset(peer::Reason(reason))]).await
}

pub(super) async fn closed() -> BoxError {
    failure_with([Step::AwaitRequest, Step::Close]).await
}

pub(super) async fn aborted() -> BoxError {
    failure_with([Step::AwaitRequest, Step::Settle, Step::Abort]).await
}

pub(super) async fn at_goaway(reason: peer::Reason, end: Step) -> BoxError {
    let goaway = Step::GoAway(LastStream::This, reason);
    failure_with([Step::AwaitRequest, goaway, Step::Settle, end]).await
}

pub(super) async fn below_goaway() -> BoxError {
    let goaway = Step::GoAway(LastStream::All, peer::Reason::NO_ERROR);
    failure_with([Step::AwaitRequest, goaway, Step::Settle, Step::Close]).await
}

/// A connection that goes silent under a call and is watched by HTTP/2 keepalive.
pub(super) async fn keepalive(connection: Connection) -> BoxError {
    let peer = Peer::always(connection).await;
    let channel = endpoint(peer.uri())
        .http2_keep_alive_interval(SHORT)
        .keep_alive_timeout(SHORT)
        .connect_lazy();
    failed(call(&channel).await)
}

pub(super) async fn grpc_timeout() -> BoxError {
    let peer = Peer::always(Connection::new().other_streams(Stream::stall())).await;
    let mut request = request();
    let timeout = http::HeaderValue::from_static("100m");
    request.headers_mut().insert("grpc-timeout", timeout);
    failed(channel(&peer).oneshot(request).await)
}

pub(super) async fn endpoint_timeout() -> BoxError {
    let peer = Peer::always(Connection::new().other_streams(Stream::stall())).await;
    failed(call(&endpoint(peer.uri()).timeout(SHORT).connect_lazy()).await)
}

// FIELD 4, CONTRACT H4
#[transports::test]
async fn a_connection_that_ends_mid_call_is_unavailable_and_may_have_run() {
    assert_eq!(verdict(&closed().await), LOST);
    assert_eq!(verdict(&aborted().await), LOST);
}

// FIELD 4, CONTRACT H4
#[transports::test]
async fn a_stream_at_the_last_id_of_a_goaway_may_have_run() {
    for reason in [
        peer::Reason::NO_ERROR,
        peer::Reason::INTERNAL_ERROR,
        peer::Reason::ENHANCE_YOUR_CALM,
    ] {
        for end in [Step::Close, Step::Abort] {
            assert_eq!(verdict(&at_goaway(reason, end).await), LOST, "{reason:?}");
        }
    }
}

// FIELD 4, CONTRACT H4: a GOAWAY that covers more than this stream proves nothing either.
#[transports::test]
async fn a_stream_below_the_last_id_of_a_goaway_may_have_run() {
    assert_eq!(verdict(&below_goaway().await), LOST);
}

// FIELD 4, CONTRACT H3
#[transports::test]
async fn a_reset_stream_may_have_run_and_its_code_is_that_of_the_table() {
    for (reason, name, code) in RESETS {
        let expected = (Progress::Reached, code, Reason::StreamReset);
        assert_eq!(verdict(&reset(reason).await), expected, "{name}");
    }
}

// FIELD 4, CONTRACT H4
#[tokio::test]
async fn a_keepalive_that_is_not_answered_may_have_run() {
    let no_pong = Connection::new()
        .without_pong()
        .other_streams(Stream::stall());
    let silenced = Connection::new().other_streams(Stream::from([Step::Silence]));
    for connection in [Connection::silent(), no_pong, silenced] {
        assert_eq!(verdict(&keepalive(connection).await), KEEPALIVE);
    }
}

// FIELD 4, CONTRACT D5
#[transports::test]
async fn tonics_own_timer_is_the_deadline_and_may_have_run() {
    assert_eq!(verdict(&grpc_timeout().await), TIMED_OUT);
    assert_eq!(verdict(&endpoint_timeout().await), TIMED_OUT);
}
