//! A tonic channel without generated code, and calls over it.
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

use std::error::Error;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::Full;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceExt as _};

use crate::{Connection, Peer, Step, Stream};

/// For timers that have to run out.
pub const SHORT: Duration = Duration::from_millis(100);

/// The path of all calls.
const PATH: &str = "/test.v1.Echo/Unary";

/// The outcome of a call over a bare channel.
pub type Answer = Result<Response<Body>, tonic::transport::Error>;

/// An endpoint with tonic's defaults.
///
/// # Panics
///
/// If this is no URI.
#[must_use]
pub fn endpoint(uri: impl Into<Bytes>) -> Endpoint {
    Endpoint::from_shared(uri).unwrap()
}

/// A channel to a peer, which connects with its first call.
#[must_use]
pub fn channel(peer: &Peer) -> Channel {
    endpoint(peer.uri()).connect_lazy()
}

/// A unary request with this message.
///
/// # Panics
///
/// If the message is over 4 GiB.
#[must_use]
pub fn request_of(message: &[u8]) -> Request<Body> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    request_with([&[0], &length[..], message].concat())
}

/// A request whose body is these bytes.
///
/// # Panics
///
/// Never.
#[must_use]
pub fn request_with(body: impl Into<Bytes>) -> Request<Body> {
    Request::post(PATH)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(body.into())))
        .unwrap()
}

/// A unary request with an empty message.
#[must_use]
pub fn request() -> Request<Body> {
    request_of(b"")
}

/// Makes one call.
///
/// # Errors
///
/// The channel's own.
pub async fn call<C: Service<Request<Body>> + Clone>(channel: &C) -> Result<C::Response, C::Error> {
    channel.clone().oneshot(request()).await
}

/// Makes one call whose every connection is this one.
///
/// # Errors
///
/// The channel's own.
pub async fn call_over(connection: Connection) -> Answer {
    let peer = Peer::always(connection).await;
    call(&channel(&peer)).await
}

/// Makes one call whose stream meets these steps.
///
/// # Errors
///
/// The channel's own.
pub async fn call_with(steps: impl IntoIterator<Item = Step>) -> Answer {
    call_over(Connection::new().other_streams(Stream::from(steps))).await
}

/// A call that goes on beside the test.
#[must_use]
pub fn spawn<C>(channel: &C) -> JoinHandle<Result<C::Response, C::Error>>
where
    C: Service<Request<Body>, Future: Send> + Clone + Send + Sync + 'static,
    C::Response: Send,
    C::Error: Send,
{
    let channel = channel.clone();
    tokio::spawn(async move { call(&channel).await })
}

/// Lets all that can run without waiting for a socket do so; exact on the one thread a test's
/// runtime has.
pub async fn others_have_run() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// What the caller of a generated client's unary method gets.
///
/// # Errors
///
/// The status of the call.
///
/// # Panics
///
/// If the service is not ready.
pub async fn unary<S>(service: S, request: tonic::Request<Bytes>) -> Result<Bytes, Status>
where
    S: GrpcService<Body>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut client = Grpc::new(service);
    assert!(client.ready().await.is_ok(), "every service here is ready");
    let answer = client.unary(request, PathAndQuery::from_static(PATH), Raw);
    answer.await.map(tonic::Response::into_inner)
}

/// A codec whose messages are their bytes.
#[derive(Debug, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
