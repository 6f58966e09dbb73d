use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::grpc::Code;

/// The body of an answer, which is whole once the head has the status (CONTRACT H7).
///
/// h2 fails the body of a Trailers-Only answer if it reads the loss of the connection before the
/// caller looks at the answer, and the request is still open (FIELD 3).
#[derive(Debug, Default)]
pub(crate) struct AnswerBody<R> {
    inner: R,
    is_whole: bool,
}

impl<R> AnswerBody<R> {
    /// The body behind a head that says `code`.
    #[inline]
    pub(crate) fn new(inner: R, code: Option<Code>) -> Self {
        Self {
            inner,
            is_whole: code.is_some(),
        }
    }
}

impl<R: Body<Data = Bytes> + Unpin> Body for AnswerBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Err(_))) if self.is_whole => Poll::Ready(None),
            polled => polled,
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
