use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};

use crate::grpc::refusal::strip_trailers;

use super::watch::{Step, Watch};

/// A response body that ends at the caller's deadline, with DEADLINE_EXCEEDED in its trailers.
#[derive(Debug, Default)]
pub struct ServerDeadlineBody<R> {
    /// `None` once the deadline has passed, or for the layer's own answer.
    inner: Option<R>,
    watch: Option<Watch>,
}

impl<R> ServerDeadlineBody<R> {
    pub(super) fn new(inner: R, watch: Option<Watch>) -> Self {
        Self {
            inner: Some(inner),
            watch,
        }
    }

    pub(super) fn empty() -> Self {
        Self {
            inner: None,
            watch: None,
        }
    }
}

impl<R: Body + Unpin> Body for ServerDeadlineBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let Some(watch) = &mut this.watch else {
            let mut read = Pin::new(inner).poll_frame(cx);
            strip_trailers(&mut read);
            return read;
        };
        let read = watch.step(cx, |cx| {
            let mut read = Pin::new(inner).poll_frame(cx);
            strip_trailers(&mut read);
            read
        });
        match ready!(read) {
            Step::Done(read) => {
                let is_last =
                    |read: &Result<Frame<_>, _>| read.as_ref().map_or(true, Frame::is_trailers);
                if read.as_ref().is_none_or(is_last) {
                    this.watch = None;
                }
                Poll::Ready(read)
            }
            Step::Expired(status) => {
                this.inner = None;
                this.watch = None;
                Poll::Ready(Some(Ok(Frame::trailers(status.into_headers()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
