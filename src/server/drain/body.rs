use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::Draining;
use crate::grpc::{Code, Status};

/// A response body under a [`DrainLayer`](super::DrainLayer): that of a health watch ends at the
/// GOAWAY, any other is passed on.
///
/// ```
/// use grpc_resilience::drain::DrainBody;
///
/// assert!(http_body::Body::is_end_stream(&DrainBody::<http_body_util::Empty<&[u8]>>::default()));
/// ```
#[pin_project]
#[derive(Debug, Default)]
pub struct DrainBody<R> {
    #[pin]
    inner: R,
    until: Option<Draining>,
    /// The GOAWAY has ended it.
    is_over: bool,
}

impl<R> DrainBody<R> {
    pub(super) fn new(inner: R, until: Option<Draining>) -> Self {
        Self {
            inner,
            until,
            is_over: false,
        }
    }
}

impl<R: Body> Body for DrainBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let this = self.project();
        if *this.is_over {
            return Poll::Ready(None);
        }
        // The state that the drain reported goes out before the stream ends.
        let read = this.inner.poll_frame(cx);
        if read.is_ready() {
            return read;
        }
        match this.until.as_mut().map(|until| Pin::new(until).poll(cx)) {
            Some(Poll::Ready(())) => {
                *this.is_over = true;
                let status = Status::new(Code::Unavailable, "the server drains");
                Poll::Ready(Some(Ok(Frame::trailers(status.into_headers()))))
            }
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.until {
            None => self.inner.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}
