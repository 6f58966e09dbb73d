use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::dispatch::{Recorder, tidy};
use crate::error::{BoxError, Error};

use super::watch::Watch;

/// The response body of a call that went through the gate: only its errors are changed, into the
/// code that they deserve.
#[derive(Debug)]
pub struct WaitBody<R> {
    inner: R,
    watch: Option<Watch>,
    recorder: Recorder,
}

impl<R> WaitBody<R> {
    pub(super) fn new(inner: R, watch: Option<Watch>, recorder: Recorder) -> Self {
        Self {
            inner,
            watch,
            recorder,
        }
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
        let read = ready!(Pin::new(&mut self.inner).poll_frame(cx)).map(tidy);
        if let Some(Err(error)) = &read
            && let Some(watch) = self.watch.take()
        {
            watch.failed(error);
        }
        Poll::Ready(self.recorder.read(read))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
