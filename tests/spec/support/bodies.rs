//! Response bodies that no server sends.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_resilience::Error;
use http_body::Frame;

/// A body that always has a frame.
pub(crate) struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more")))))
    }
}
