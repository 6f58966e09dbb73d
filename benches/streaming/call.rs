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

/// How many messages the server shall send.
pub(crate) const WANTED: &str = "x-messages";
/// The size of each message, in bytes.
pub(crate) const SIZE: &str = "x-size";

/// The size of a message.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "one of the benches has both")]
pub(crate) enum Size {
    Kibibyte,
    Mebibyte,
}

impl Size {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kibibyte => "1 KiB",
            Self::Mebibyte => "1 MiB",
        }
    }

    /// The size of this name.
    pub(crate) fn named(name: &[u8]) -> Self {
        if name == Self::Kibibyte.name().as_bytes() {
            Self::Kibibyte
        } else {
            Self::Mebibyte
        }
    }

    /// A message, as tonic's encoder makes it.
    fn message(self) -> &'static [u8] {
        match self {
            Self::Kibibyte => &KIBIBYTE,
            Self::Mebibyte => &MEBIBYTE,
        }
    }
}

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

/// A body of this number of messages, each in a frame, and then of trailers, if there are any.
pub(crate) struct Messages {
    pub(crate) left: u32,
    pub(crate) size: Size,
    pub(crate) trailers: Option<HeaderMap>,
}

static KIBIBYTE: [u8; 5 + (1 << 10)] = message([0, 0, 0, 4, 0]);
static MEBIBYTE: [u8; 5 + (1 << 20)] = message([0, 0, 16, 0, 0]);

/// A message with this head.
const fn message<const N: usize>(head: [u8; 5]) -> [u8; N] {
    let mut message = [7; N];
    let (start, _) = message.split_at_mut(head.len());
    start.copy_from_slice(&head);
    message
}

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
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(
            self.size.message(),
        )))))
    }
}

fn request(direction: Direction, size: Size, messages: u32) -> Request<Body> {
    let (path, sent) = match direction {
        Direction::ServerStream => ("/bench.v1.Streams/Receive", 1),
        Direction::ClientStream => ("/bench.v1.Streams/Send", messages),
    };
    let body = Messages {
        left: sent,
        size,
        trailers: None,
    };
    let mut request = call::request().map(|_| Body::new(body));
    *request.uri_mut() = Uri::from_static(path);
    if matches!(direction, Direction::ServerStream) {
        let wanted = HeaderValue::from(messages);
        request.headers_mut().insert(WANTED, wanted);
        let size = HeaderValue::from_static(size.name());
        request.headers_mut().insert(SIZE, size);
    }
    request
}

/// A channel, bare or under a stack.
pub(crate) trait Caller {
    /// Sends or receives so many messages in one call.
    fn stream(
        &mut self,
        direction: Direction,
        size: Size,
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
        size: Size,
        messages: u32,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + '_>> {
        Box::pin(async move {
            let service = self.ready().await.map_err(Into::into)?;
            let response = service.call(request(direction, size, messages)).await;
            call::read(response.map_err(Into::into)?).await
        })
    }
}
