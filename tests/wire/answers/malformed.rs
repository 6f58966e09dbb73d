//! `grpc-status-details-bin` that is no base64: tonic's client panics on it, unless a layer of ours
//! is between.

use bytes::Bytes;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::grpc::MethodKind;
use peer::{Headers, Peer, Step, Stream};
use tonic::{Code, Status};

use super::super::support::{channel, log, unary};
use super::{head_then, tonics, under_each_layer};

const MALFORMED: [&[u8]; 5] = [b"%%%", b"a", b"AQI==", b"not base64!", b"\xff\xfe"];

/// In the head, in trailers after it, and in trailers after a message.
pub(super) fn answers(details: &'static [u8]) -> [Stream; 3] {
    let add = |headers: Headers| {
        let with = headers.message("no%20stock");
        Step::Headers(with.with("grpc-status-details-bin", details))
    };
    [
        Stream::from([Step::AwaitRequest, add(Headers::trailers_only(9))]),
        head_then(None, [add(Headers::trailers(9))]),
        head_then(Some(b"hi"), [add(Headers::trailers(9))]),
    ]
}

fn is_whole(status: &Status) {
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "no stock");
    assert!(status.details().is_empty());
}

// FIELD 3: why it is taken out.
#[transports::test]
async fn without_a_layer_tonics_client_panics() {
    for answer in answers(MALFORMED[0]) {
        let call = tokio::spawn(tonics(answer));
        assert!(call.await.unwrap_err().is_panic());
    }
}

// FIELD 3, DESIGN decision 17
#[transports::test]
async fn under_any_layer_the_client_gets_code_and_message_and_does_not_panic() {
    log::listen();
    for details in MALFORMED {
        for answer in answers(details) {
            let peer = Peer::answering(answer).await;
            for kind in [None, Some(MethodKind::Unary)] {
                for is_declared in [false, true] {
                    let request = || {
                        let mut request = tonic::Request::new(Bytes::new());
                        if let Some(kind) = kind {
                            request.call_options().kind(kind);
                        }
                        if is_declared {
                            request.call_options().idempotent();
                        }
                        request
                    };
                    under_each_layer!(&peer, |service| is_whole(
                        &unary(service, request()).await.unwrap_err()
                    ));
                }
            }
        }
    }
}
