//! Answers that are no gRPC answers, and bodies that end without one, as a generated client sees
//! them through the layer.

use bytes::Bytes;
use grpc_resilience::GiveUp;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::classify;
use grpc_resilience::retry::RetryLayer;
use http_body_util::BodyExt as _;
use peer::{Connection, Headers, Peer, Reason, Step, Stream};
use tonic::{Code, Status};
use tower::ServiceBuilder;

use super::super::support::{channel, log, unary};
use super::{Client, policy};

/// What a generated client gets, through the retry layer.
async fn as_a_client_sees(peer: &Peer, request: tonic::Request<Bytes>) -> Result<Bytes, Status> {
    log::listen();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy(3)))
        .service(channel(peer));
    unary(service, request).await
}

fn proxy() -> Stream {
    Stream::http(503, "text/html", "<html>no backend</html>")
}

// CONTRACT H2, FIELD 3
#[transports::test(start_paused = true)]
async fn a_proxys_503_in_html_is_unavailable_and_not_about_compression() {
    let peer = Peer::always(Connection::new().other_streams(proxy())).await;
    let request = tonic::Request::new(Bytes::new());
    let status = as_a_client_sees(&peer, request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("503"), "{status:?}");
    assert!(!status.message().contains("compression"), "{status:?}");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
    assert_eq!(peer.streams_seen().len(), 1);
}

// CONTRACT H2, I2
#[transports::test(start_paused = true)]
async fn a_proxys_503_is_retried_for_a_declared_call() {
    let scripts = [proxy(), proxy(), Stream::ok(b"at last")];
    let peer = Peer::start([Connection::new().streams(scripts)]).await;
    let mut request = tonic::Request::new(Bytes::new());
    request.call_options().idempotent();
    assert_eq!(as_a_client_sees(&peer, request).await.unwrap(), "at last");
}

// CONTRACT H2
#[transports::test(start_paused = true)]
async fn every_http_status_without_a_grpc_status_has_its_code_whatever_its_body_says() {
    for (http, code) in [
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (429, Code::Unavailable),
        (500, Code::Unknown),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Unavailable),
        (200, Code::Unknown),
    ] {
        for body in ["", "<html>"] {
            let page = Stream::http(http, "text/html", body);
            let peer = Peer::always(Connection::new().other_streams(page)).await;
            let request = tonic::Request::new(Bytes::new());
            let status = as_a_client_sees(&peer, request).await.unwrap_err();
            assert_eq!(status.code(), code, "{http} {body}: {status:?}");
        }
    }
}

/// A head, a message, and then a reset.
async fn cut_off(reason: Reason) -> Peer {
    let stream = Stream::from([
        Step::AwaitRequest,
        Step::Headers(Headers::response()),
        Step::message(b"half"),
        Step::Settle,
        Step::Reset(reason),
    ]);
    Peer::always(Connection::new().other_streams(stream)).await
}

// CONTRACT H3, R6
#[transports::test(start_paused = true)]
async fn a_body_that_is_cancelled_is_cancelled_for_the_client_too() {
    let peer = cut_off(Reason::CANCEL).await;
    let mut request = tonic::Request::new(Bytes::new());
    request.call_options().idempotent();
    let status = as_a_client_sees(&peer, request).await.unwrap_err();
    assert_eq!(status.code(), Code::Cancelled, "{status:?}");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::Committed));
    assert_eq!(peer.streams_seen().len(), 1);
}

// FIELD 3, CONTRACT R16: hyper ends such a body cleanly.
#[transports::test(start_paused = true)]
async fn a_body_that_is_reset_without_error_is_no_complete_answer() {
    let peer = cut_off(Reason::NO_ERROR).await;
    let client = Client::new(channel(&peer), policy(3));
    let mut body = client.call().await.unwrap().into_body();
    let half = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(half.as_ref(), b"\0\0\0\0\x04half");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.verdict().reason, classify::Reason::NoStatus);
    assert_eq!(error.code(), grpc_resilience::grpc::Code::Unknown);
    assert_eq!(error.give_up(), Some(GiveUp::Committed));
    assert!(body.frame().await.is_none());
    assert_eq!(client.sent().len(), 1);
    assert_eq!(peer.streams_seen().len(), 1);

    let seen = as_a_client_sees(&peer, tonic::Request::new(Bytes::new())).await;
    assert_eq!(seen.unwrap_err().code(), Code::Unknown);
}
