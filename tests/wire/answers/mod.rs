//! FIELD.md, section 3, row by row: where the status of an answer is, what `classify` says of it,
//! and what a caller gets through our layers.

mod ended;
mod http;
mod malformed;
mod placed;
mod report;
mod whole;

use ::http::HeaderMap;
use ::http::response::Parts;
use bytes::Bytes;
use grpc_resilience::classify::Verdict;
use grpc_resilience::grpc::{Code, Status as OurStatus};
use grpc_resilience::{__internal, BoxError};
use http_body::Body as HttpBody;
use http_body_util::BodyExt as _;
use peer::{Headers, Peer, Step, Stream};

use super::support::{call, channel, unary};

/// A head, perhaps a message, and then this.
fn head_then(message: Option<&[u8]>, end: impl IntoIterator<Item = Step>) -> Stream {
    let mut steps = vec![Step::AwaitRequest, Step::Headers(Headers::response())];
    steps.extend(message.map(Step::message));
    steps.extend(end);
    Stream::from(steps)
}

/// An answer as it comes out of the channel, without a layer.
struct Seen {
    head: Parts,
    /// Of the body, as the head comes.
    is_end_stream: bool,
    data: Bytes,
    trailers: Option<HeaderMap>,
    failed: Option<BoxError>,
}

impl Seen {
    async fn of(stream: Stream) -> Self {
        let peer = Peer::answering(stream).await;
        let (head, body) = call(&channel(&peer)).await.unwrap().into_parts();
        let is_end_stream = body.is_end_stream();
        let (data, trailers, failed) = frames(body).await;
        Self {
            head,
            is_end_stream,
            data,
            trailers,
            failed,
        }
    }

    fn in_head(&self) -> Option<(Verdict, OurStatus)> {
        __internal::head(self.head.status, &self.head.headers)
    }

    fn in_trailers(&self) -> Option<(Verdict, OurStatus)> {
        let status = OurStatus::from_headers(self.trailers.as_ref()?)?;
        Some((__internal::answer(&status), status))
    }

    /// What the head says, or else the trailers.
    fn code(&self) -> Option<Code> {
        let said = self.in_head().or_else(|| self.in_trailers());
        said.map(|(verdict, _)| verdict.code)
    }
}

/// All DATA, the trailers, and the error at the end.
async fn frames<E>(
    mut body: impl HttpBody<Data = Bytes, Error = E> + Unpin,
) -> (Bytes, Option<HeaderMap>, Option<E>) {
    let (mut data, mut trailers) = (Vec::new(), None);
    loop {
        match body.frame().await {
            None => return (data.into(), trailers, None),
            Some(Err(error)) => return (data.into(), trailers, Some(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}

/// A layer or a stack over a channel to this peer, as tonic's client takes it.
macro_rules! under_each_layer {
    ($peer:expr, |$service:ident| $then:expr) => {{
        use grpc_resilience::Resilience;
        use grpc_resilience::deadline::DeadlineLayer;
        use grpc_resilience::retry::RetryLayer;
        use grpc_resilience::wait_for_ready::WaitForReadyLayer;
        use tower::Layer as _;
        let channel = channel($peer);
        let $service = RetryLayer::default().layer(channel.clone());
        $then;
        let $service = DeadlineLayer::new()
            .default_timeout(std::time::Duration::from_secs(3_600))
            .layer(channel.clone());
        $then;
        let $service = WaitForReadyLayer::new().layer(channel.clone());
        $then;
        let $service = Resilience::new().wrap(channel);
        $then;
    }};
}
use under_each_layer;

/// Of tonic's own making, without a layer.
async fn tonics(stream: Stream) -> Result<Bytes, tonic::Status> {
    let peer = Peer::answering(stream).await;
    unary(channel(&peer), tonic::Request::new(Bytes::new())).await
}
