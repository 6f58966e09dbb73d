//! One unary call as tonic puts it on the wire, and its answer read to the end.

use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Frame;
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::codec::{EncodeBody, EncodeBuf, Encoder};
use tonic::{GrpcMethod, Status};

use crate::Failure;

/// The method of every call.
pub const METHOD: &str = "/bench.v1.Orders/Get";

static URI: LazyLock<Uri> = LazyLock::new(|| Uri::from_static(METHOD));

/// What the request says.
pub const MESSAGE: [u8; 128] = [7; 128];

/// The same as an answer: the five bytes of a gRPC message's head go before.
const ANSWER: [u8; 133] = {
    let mut message = [7; 133];
    let head = [0, 0, 0, 0, 128];
    let (start, _) = message.split_at_mut(head.len());
    start.copy_from_slice(&head);
    message
};

/// Puts a message where tonic's encoder wants it.
#[derive(Clone, Copy, Debug)]
struct Encode;

impl Encoder for Encode {
    type Item = &'static [u8];
    type Error = Status;

    fn encode(&mut self, message: &[u8], into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(message);
        Ok(())
    }
}

/// The body of an answer. It says nothing of its length or its end beforehand, as that of a channel
/// doesn't.
struct Answer {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for Answer {
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

/// A request with the headers and the extension that a generated client of tonic's gives it, and the body
/// that tonic's encoder is. What the encoder yields is shared with its buffer: a clone counts, and copies
/// nothing.
#[must_use]
pub fn request() -> Request<Body> {
    let message = tokio_stream::once(Ok(&MESSAGE[..]));
    let body = EncodeBody::new_client(Encode, message, None, None);
    let mut request = Request::new(Body::new(body));
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
    let mut response = Response::new(Body::new(Answer {
        data: Some(Bytes::copy_from_slice(&ANSWER)),
        trailers: Some(trailers),
    }));
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
