//! Scripted answers as HTTP responses.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use tonic::{Status, body::Body};

use crate::{
    frames::Frames,
    kind::{End, Page},
};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// HEADERS that end the stream, with the status.
pub(crate) fn trailers_only(status: &Status, metadata: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = status_headers(status, metadata);
    response.headers_mut().entry(CONTENT_TYPE).or_insert(GRPC);
    response
}

/// HEADERS, data, then the status in TRAILERS, or nothing more.
pub(crate) fn stream(frames: Vec<Bytes>, end: &End, metadata: HeaderMap) -> Response<Body> {
    let (body, head) = match end {
        End::Status(status) => {
            let trailers = status_headers(status, metadata);
            (Frames::new(frames, Some(trailers)), HeaderMap::new())
        }
        End::Hang => (Frames::new(frames, None), metadata),
    };
    let mut response = Response::new(Body::new(body));
    *response.headers_mut() = head;
    response.headers_mut().entry(CONTENT_TYPE).or_insert(GRPC);
    response
}

/// An answer that is not gRPC.
pub(crate) fn page(page: Page, metadata: HeaderMap) -> Response<Body> {
    let body = Full::new(page.body).map_err(|never: Infallible| match never {});
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = page.status;
    if let Some(content_type) = page.content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response.headers_mut().extend(metadata);
    response
}

/// What says a status, as tonic writes it, and metadata, which win over it.
#[expect(
    clippy::expect_used,
    reason = "tonic percent-encodes the message, and the status has nothing else"
)]
fn status_headers(status: &Status, metadata: HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    status
        .add_header(&mut headers)
        .expect("a code and an encoded message are valid headers");
    headers.extend(metadata);
    headers
}
