use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::dispatch::tidy;
use crate::error::{BoxError, Error};

/// The response body of a call that went through the gate: only its errors are changed, into the
/// code that they deserve.
#[derive(Debug)]
pub struct WaitBody<R> {
    inner: R,
}

impl<R> WaitBody<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner }
    }
}

impl<R> Body for WaitBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        frame.map(|frame| frame.map(tidy))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
