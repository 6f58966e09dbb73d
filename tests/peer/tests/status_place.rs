//! FIELD.md, section 3: where the gRPC status is, and what an answer that is not gRPC becomes.
#![cfg(test)]

mod support;

use bytes::Bytes;
use http_body::Body as _;
use peer::client::{call, channel, unary};
use peer::{Headers, Peer, Step, Stream};
use support::outcome;
use tonic::{Code, Status};

#[tokio::test]
async fn a_trailers_only_answer_has_its_status_in_the_head_and_no_body() {
    let head = Headers::trailers_only(14)
        .message("later")
        .with("grpc-retry-pushback-ms", "25");
    let peer = Peer::answering(Stream::from([Step::AwaitRequest, Step::Headers(head)])).await;
    let answer = call(&channel(&peer)).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "14");
    assert_eq!(answer.headers()["grpc-message"], "later");
    assert_eq!(answer.headers()["grpc-retry-pushback-ms"], "25");
    assert!(answer.body().is_end_stream());
    assert_eq!(
        outcome(answer.into_body()).await,
        (vec![], "end".to_owned())
    );
}

#[tokio::test]
async fn a_head_and_trailers_have_the_status_in_the_trailers_and_no_data() {
    let steps = [
        Step::AwaitRequest,
        Step::Headers(Headers::response()),
        Step::Headers(Headers::trailers(14)),
    ];
    let peer = Peer::answering(Stream::from(steps)).await;
    let answer = call(&channel(&peer)).await.unwrap();
    assert!(!answer.headers().contains_key("grpc-status"));
    assert!(!answer.body().is_end_stream());
    assert_eq!(
        outcome(answer.into_body()).await,
        (vec![], "grpc-status 14".to_owned())
    );
}

#[tokio::test]
async fn a_whole_answer_has_the_status_in_the_trailers_after_the_data() {
    let peer = Peer::answering(Stream::ok(b"hi")).await;
    let answer = call(&channel(&peer)).await.unwrap();
    assert!(!answer.headers().contains_key("grpc-status"));
    assert!(!answer.body().is_end_stream());
    assert_eq!(
        outcome(answer.into_body()).await,
        (b"\0\0\0\0\x02hi".to_vec(), "grpc-status 0".to_owned())
    );
}

/// What a generated client would make of the answer.
async fn as_a_client_sees(stream: Stream) -> Result<Bytes, Status> {
    let peer = Peer::answering(stream).await;
    unary(channel(&peer), tonic::Request::new(Bytes::new())).await
}

#[tokio::test]
async fn a_client_gets_the_message_of_an_answer() {
    assert_eq!(as_a_client_sees(Stream::ok(b"hi")).await.unwrap(), "hi");
}

#[tokio::test]
async fn a_proxys_503_in_html_becomes_an_internal_error_about_compression() {
    let html = || Stream::http(503, "text/html", "<html>no backend</html>");
    let status = as_a_client_sees(html()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(
        status.message().contains("invalid compression flag: 60"),
        "{}",
        status.message()
    );

    let peer = Peer::answering(html()).await;
    let answer = call(&channel(&peer)).await.unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["content-type"].to_str().unwrap()
        ),
        (503, "text/html")
    );
    assert_eq!(
        outcome(answer.into_body()).await,
        (b"<html>no backend</html>".to_vec(), "end".to_owned())
    );
}

#[tokio::test]
async fn an_http_status_without_a_body_and_a_grpc_status_becomes_a_code() {
    let codes = [
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (429, Code::Unavailable),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Unavailable),
        (500, Code::Unknown),
        (200, Code::Unknown),
    ];
    for (http, code) in codes {
        let status = as_a_client_sees(Stream::http(http, "text/plain", ""))
            .await
            .unwrap_err();
        assert_eq!(status.code(), code, "{http}: {status:?}");
    }
}
