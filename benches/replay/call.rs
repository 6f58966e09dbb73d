//! Requests by their size.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

use benches::call;

/// What a request is made of.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// One frame, there at once.
    Unary,
    /// Frames of 16 KiB, each there when it is polled a second time.
    Stream,
}

const FRAME: usize = 16 << 10;

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unary => "in one frame",
            Self::Stream => "in a stream",
        }
    }

    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Unary => "replay-unary",
            Self::Stream => "replay-stream",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Unary => "A unary request, in one frame that is there at once:",
            Self::Stream => {
                "A stream of requests, in frames of at most 16 KiB, none there when it is first polled:"
            }
        }
    }
}

/// A request of so many bytes, which are not written here: that costs more than any layer.
pub(crate) fn request(kind: Kind, size: usize) -> Request<Body> {
    static BYTES: [u8; 4 << 20] = [7; 4 << 20];
    let bytes = Bytes::from_static(BYTES.get(..size).unwrap_or_default());
    let frames = Frames {
        bytes,
        most: if kind == Kind::Unary { size } else { FRAME },
        is_there: kind == Kind::Unary,
        waits: kind == Kind::Stream,
    };
    call::request().map(|_| Body::new(frames))
}

struct Frames {
    bytes: Bytes,
    most: usize,
    is_there: bool,
    waits: bool,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if !self.is_there {
            self.is_there = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.is_there = !self.waits;
        let size = self.most.min(self.bytes.len());
        Poll::Ready(Some(Ok(Frame::data(self.bytes.split_to(size)))))
    }
}
