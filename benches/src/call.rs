//! One unary call as tonic puts it on the wire, and its answer read to the end.

use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Frame;
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::{GrpcMethod, Status};

use crate::Failure;

/// The method of every call.
pub const METHOD: &str = "/bench.v1.Orders/Get";

static URI: LazyLock<Uri> = LazyLock::new(|| Uri::from_static(METHOD));

/// The five bytes of a gRPC message's head, then 128 of message.
const MESSAGE: [u8; 133] = {
    let mut message = [7; 133];
    let head = [0, 0, 0, 0, 128];
    let (start, _) = message.split_at_mut(head.len());
    start.copy_from_slice(&head);
    message
};

/// A body of one message, with or without trailers after it. It says nothing of its length or its
/// end beforehand, as tonic's encoder doesn't.
struct Message {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Message {
    fn body(trailers: Option<HeaderMap>) -> Body {
        Body::new(Self {
            data: Some(Bytes::copy_from_slice(&MESSAGE)),
            trailers,
        })
    }
}

impl http_body::Body for Message {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let data = self.data.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }
}

/// A request with the headers and the extension that a generated client of tonic's gives it.
#[must_use]
pub fn request() -> Request<Body> {
    let mut request = Request::new(Message::body(None));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = URI.clone();
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let method = GrpcMethod::new("bench.v1.Orders", "Get");
    request.extensions_mut().insert(method);
    request
}

/// A message, then the status in trailers.
#[must_use]
pub fn response() -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    let mut response = Response::new(Message::body(Some(trailers)));
    *response.version_mut() = Version::HTTP_2;
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Reads a response to its end; one that is not the no-op service's is a failure.
///
/// # Errors
///
/// If a frame fails, or if the trailers are missing or do not say OK.
pub async fn read<B>(response: Response<B>) -> Result<(), Failure>
where
    B: http_body::Body<Data = Bytes, Error: Into<Failure>>,
{
    let mut body = pin!(response.into_body());
    let mut is_ok = false;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Into::into)?;
        let status = frame
            .trailers_ref()
            .map(|trailers| trailers.get(Status::GRPC_STATUS));
        is_ok |= status.flatten().is_some_and(|status| status == "0");
    }
    if is_ok {
        Ok(())
    } else {
        Err("the call failed".into())
    }
}
