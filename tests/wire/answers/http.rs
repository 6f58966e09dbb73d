//! Answers that are no gRPC answers: a proxy's.

use bytes::Bytes;
use grpc_resilience::classify::{Progress, Reason};
use grpc_resilience::grpc::Code;
use peer::{Headers, Peer, Step, Stream};

use super::super::support::{channel, log, unary};
use super::{Seen, tonics, under_each_layer};

/// CONTRACT H2
pub(super) const CODES: [(u16, Code); 12] = [
    (400, Code::Internal),
    (401, Code::Unauthenticated),
    (403, Code::PermissionDenied),
    (404, Code::Unimplemented),
    (429, Code::Unavailable),
    (502, Code::Unavailable),
    (503, Code::Unavailable),
    (504, Code::Unavailable),
    (500, Code::Unknown),
    (302, Code::Unknown),
    (418, Code::Unknown),
    (200, Code::Unknown),
];

pub(super) fn page(http: u16) -> Stream {
    Stream::http(http, "text/html", "<html>no backend</html>")
}

/// A head that ends the stream.
pub(super) fn bare(http: u16) -> Stream {
    let head = Headers::http(http, "text/html").ending_the_stream();
    Stream::from([Step::AwaitRequest, Step::Headers(head)])
}

// FIELD 3, CONTRACT H2
#[transports::test]
async fn the_head_of_an_http_answer_says_the_code_with_a_page_or_without() {
    for (http, code) in CODES {
        for (stream, ends_there) in [(page(http), false), (bare(http), true)] {
            let seen = Seen::of(stream).await;
            let (verdict, status) = seen.in_head().unwrap();
            let expected = (Progress::Answered, code, Reason::HttpStatus);
            assert_eq!((verdict.progress, verdict.code, verdict.reason), expected);
            assert!(status.message().contains(&http.to_string()));
            assert_eq!(seen.is_end_stream, ends_there);
        }
    }
}

// FIELD 3, CONTRACT H2
#[transports::test]
async fn a_grpc_status_counts_and_not_the_http_status() {
    for (http, _) in CODES {
        let head = Headers::http(http, "text/html").with("grpc-status", "5");
        let head = Step::Headers(head.ending_the_stream());
        let seen = Seen::of(Stream::from([Step::AwaitRequest, head])).await;
        assert_eq!(seen.code(), Some(Code::NotFound), "{http}");
    }
}

// FIELD 3: what it is without the retry layer.
#[transports::test]
async fn tonic_by_itself_calls_a_proxys_503_an_internal_error_about_compression() {
    let status = tonics(page(503)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Internal);
    assert!(status.message().contains("invalid compression flag: 60"));
}

// FIELD 3, CONTRACT H2: the layers that judge answers say so; the others leave a page to tonic.
#[transports::test]
async fn a_page_is_the_code_of_its_http_status_under_a_layer_that_judges_answers() {
    use grpc_resilience::Resilience;
    use grpc_resilience::retry::RetryLayer;
    use tower::Layer as _;

    log::listen();
    for (http, code) in CODES {
        for stream in [page(http), bare(http)] {
            let peer = Peer::answering(stream).await;
            let request = || tonic::Request::new(Bytes::new());
            let retry = RetryLayer::default().layer(channel(&peer));
            let stack = Resilience::new().wrap(channel(&peer));
            let answers = [unary(retry, request()).await, unary(stack, request()).await];
            for answer in answers {
                let status = answer.unwrap_err();
                assert_eq!(status.code(), code.into(), "{http}: {status:?}");
                assert!(!status.message().contains("compression"), "{status:?}");
            }
        }
    }
}

// FIELD 3
#[transports::test]
async fn an_empty_answer_has_the_same_code_under_any_layer() {
    log::listen();
    for (http, code) in CODES {
        let peer = Peer::answering(bare(http)).await;
        under_each_layer!(&peer, |service| {
            let request = tonic::Request::new(Bytes::new());
            let status = unary(service, request).await.unwrap_err();
            assert_eq!(status.code(), code.into(), "{http}: {status:?}");
        });
    }
}
