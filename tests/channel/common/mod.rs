//! Channels, calls and transports for the tests of this folder.

pub(crate) mod health;
pub(crate) mod log;
pub(crate) mod manner;
pub(crate) mod names;
pub(crate) mod net;
pub(crate) mod script;
pub(crate) mod tls;

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::{Builder, Channel, Connectivity, ResponseBody, ResponseFuture};
use grpc_resilience::classify::{Endpoint, TransportError};
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, Full};
use peer::Peer;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tower::ServiceExt as _;

pub(crate) type Answer = Result<Response<ResponseBody>, TransportError>;

/// Far longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) const MS: Duration = Duration::from_millis(1);

pub(crate) fn builder(peer: &Peer) -> Builder {
    Channel::builder(peer.uri()).max_connections(1)
}

/// A channel of one connection.
pub(crate) async fn channel(peer: &Peer) -> Channel {
    connected(builder(peer)).await
}

pub(crate) async fn connected(builder: Builder) -> Channel {
    let channel = builder.build().unwrap();
    channel.connected(LONG).await.unwrap();
    channel
}

/// One gRPC message.
pub(crate) fn message(text: &[u8]) -> Bytes {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    Bytes::from([&[0], &length[..], text].concat())
}

pub(crate) fn request_with(
    body: impl HttpBody<Data = Bytes, Error: Into<grpc_resilience::BoxError>> + Send + 'static,
) -> Request<Body> {
    Request::post("/test.v1.Echo/Unary")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(body))
        .unwrap()
}

pub(crate) fn request() -> Request<Body> {
    request_with(Full::new(message(b"hi")))
}

pub(crate) async fn send(channel: &Channel, request: Request<Body>) -> Answer {
    channel.clone().oneshot(request).await
}

pub(crate) async fn call(channel: &Channel) -> Answer {
    send(channel, request()).await
}

/// A call that the test polls by hand.
pub(crate) fn begin(channel: &Channel, request: Request<Body>) -> ResponseFuture<Body> {
    tower::Service::call(&mut channel.clone(), request)
}

/// Polls once, and is not woken.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A call that goes on beside the test.
pub(crate) fn spawn(channel: &Channel) -> JoinHandle<Answer> {
    let channel = channel.clone();
    tokio::spawn(async move { call(&channel).await })
}

/// The `grpc-status` of a whole answer.
pub(crate) async fn status(answer: Answer) -> i32 {
    let answer = answer.unwrap();
    let head = answer.headers().get("grpc-status").cloned();
    let trailers = answer.into_body().collect().await.unwrap();
    let trailers = trailers
        .trailers()
        .and_then(|it| it.get("grpc-status"))
        .cloned();
    let status = head.or(trailers).unwrap();
    status.to_str().unwrap().parse().unwrap()
}

/// A whole call that succeeds.
pub(crate) async fn succeeds(channel: &Channel) {
    assert_eq!(status(call(channel).await).await, 0);
}

/// Lets all that can run without waiting for a socket do so.
pub(crate) async fn others_have_run() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Waits until it is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(MS).await;
        }
    };
    // Only a test that has failed takes this long, however busy the machine is.
    tokio::time::timeout(6 * LONG, waits)
        .await
        .expect("it becomes so");
}

/// How many calls are on the channel's connections.
pub(crate) fn in_flight(channel: &Channel) -> u32 {
    let endpoints = channel.snapshot().endpoints;
    let connections = endpoints.iter().flat_map(|it| &it.connections);
    connections.map(|it| it.in_flight).sum()
}

/// How many connections take calls.
pub(crate) fn connections(channel: &Channel) -> usize {
    let endpoints = channel.snapshot().endpoints;
    endpoints.iter().map(|it| it.connections.len()).sum()
}

/// A body that has what the test sends, until the sender is dropped.
pub(crate) fn streaming() -> (tokio::sync::mpsc::UnboundedSender<Bytes>, StreamedBody) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    (sender, StreamedBody(receiver))
}

pub(crate) struct StreamedBody(tokio::sync::mpsc::UnboundedReceiver<Bytes>);

impl HttpBody for StreamedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|it| it.map(|data| Ok(http_body::Frame::data(data))))
    }
}

/// A call of `BidiStream`.
pub(crate) fn bidi(body: StreamedBody) -> Request<Body> {
    let mut request = request_with(body);
    *request.uri_mut() = testing::method::BIDI_STREAM.parse().unwrap();
    request
}

/// The endpoint that answered.
pub(crate) fn endpoint_of(answer: &Answer) -> String {
    let answer = answer.as_ref().unwrap();
    let endpoint = answer.extensions().get::<Endpoint>().unwrap();
    endpoint.name().trim_start_matches("unix:").to_owned()
}

/// A whole call that succeeds; the endpoint that answered.
pub(crate) async fn called(channel: &Channel) -> String {
    called_with(channel, request()).await
}

pub(crate) async fn called_with(channel: &Channel, request: Request<Body>) -> String {
    let answer = send(channel, request).await;
    let endpoint = endpoint_of(&answer);
    assert_eq!(status(answer).await, 0);
    endpoint
}

/// The endpoints that answer this number of calls, one after another.
pub(crate) async fn called_times(channel: &Channel, times: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..times {
        names.push(called(channel).await);
    }
    names
}

/// A request that waits for a connection.
pub(crate) fn patient() -> Request<Body> {
    let mut request = request();
    request.call_options().wait_for_ready();
    request
}

/// Waits until this number of endpoints is ready.
pub(crate) async fn until_ready(channel: &Channel, count: usize) {
    until(|| ready(channel).len() == count).await;
}

/// The endpoints that are ready.
pub(crate) fn ready(channel: &Channel) -> Vec<String> {
    let endpoints = channel.snapshot().endpoints;
    let ready = endpoints
        .iter()
        .filter(|it| it.state == Connectivity::Ready);
    ready
        .map(|it| it.name.trim_start_matches("unix:").to_owned())
        .collect()
}
