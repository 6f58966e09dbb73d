use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use crate::error::{BoxError, Error};
use crate::grpc::Code;

use super::response::{Read, Seen, received};

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

    /// What a failure of the body is for the caller; `None` for the end of a whole answer.
    #[cold]
    pub(crate) fn broken(&self, error: impl Into<BoxError>) -> Option<Error> {
        (!self.is_whole).then(|| broken(error))
    }
}

impl<R: Body<Data = Bytes> + Unpin> AnswerBody<R> {
    #[inline]
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    /// Reads for a layer that does not act on the call, and of which nobody writes anything down.
    #[inline]
    pub(crate) fn read_past(&mut self, cx: &mut Context<'_>) -> Poll<Read>
    where
        R::Error: Into<BoxError>,
    {
        match self.poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                Seen::tidy(&mut frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(self.broken(error).map(Err)),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    #[inline]
    pub(crate) fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    #[inline]
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What broke a response body off, as every layer hands it up.
#[cold]
pub(crate) fn broken(error: impl Into<BoxError>) -> Error {
    Error::from_inner(error).after_headers()
}

/// The outcome of a call on which the layer does not act, and of which nobody writes anything down.
#[inline]
pub(crate) fn passed<R, B>(
    polled: Poll<Result<Response<R>, Error>>,
    body: impl FnOnce(AnswerBody<R>) -> B,
) -> Poll<Result<Response<B>, Error>> {
    match polled {
        Poll::Ready(Ok(mut response)) => match received(&mut response) {
            Ok(code) => Poll::Ready(Ok(response.map(|inner| body(AnswerBody::new(inner, code))))),
            Err(error) => Poll::Ready(Err(error)),
        },
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => Poll::Pending,
    }
}
