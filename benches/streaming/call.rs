//! Streams, and the calls that carry them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use benches::{Failure, call};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceExt};

/// The methods of [`Direction`].
pub(crate) const METHODS: &str = "/bench.v1.Streams/*";
/// How many messages the server shall send.
pub(crate) const WANTED: &str = "x-messages";

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    /// The server sends the messages.
    ServerStream,
    /// The client sends them.
    ClientStream,
}

impl Direction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServerStream => "server stream",
            Self::ClientStream => "client stream",
        }
    }
}

/// So many messages of 1 MiB, each in a frame, as tonic's encoder makes them; then trailers, if any.
pub(crate) struct Messages {
    pub(crate) left: u32,
    pub(crate) trailers: Option<HeaderMap>,
}

static MESSAGE: [u8; 5 + (1 << 20)] = {
    let mut message = [7; 5 + (1 << 20)];
    let head = [0, 0, 16, 0, 0];
    let (start, _) = message.split_at_mut(head.len());
    start.copy_from_slice(&head);
    message
};

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Poll::Ready(
                self.trailers
                    .take()
                    .map(|trailers| Ok(Frame::trailers(trailers))),
            );
        };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&MESSAGE)))))
    }
}

fn request(direction: Direction, messages: u32) -> Request<Body> {
    let (path, sent) = match direction {
        Direction::ServerStream => ("/bench.v1.Streams/Receive", 1),
        Direction::ClientStream => ("/bench.v1.Streams/Send", messages),
    };
    let body = Messages {
        left: sent,
        trailers: None,
    };
    let mut request = call::request().map(|_| Body::new(body));
    *request.uri_mut() = Uri::from_static(path);
    if matches!(direction, Direction::ServerStream) {
        let wanted = HeaderValue::from(messages);
        request.headers_mut().insert(WANTED, wanted);
    }
    request
}

/// A channel, bare or under a stack.
pub(crate) trait Caller {
    /// Sends or receives so many messages in one call.
    fn stream(
        &mut self,
        direction: Direction,
        messages: u32,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + '_>>;
}

impl<S, R> Caller for S
where
    S: Service<Request<Body>, Response = Response<R>, Error: Into<Failure>>,
    R: http_body::Body<Data = Bytes, Error: Into<Failure>>,
{
    fn stream(
        &mut self,
        direction: Direction,
        messages: u32,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + '_>> {
        Box::pin(async move {
            let service = self.ready().await.map_err(Into::into)?;
            let response = service.call(request(direction, messages)).await;
            call::read(response.map_err(Into::into)?).await
        })
    }
}
