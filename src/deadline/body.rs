use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::classify;
use crate::dispatch::tidy;
use crate::error::{BoxError, Error};
use crate::grpc::{Code, Status};

use super::bound::Bound;

/// A response body that ends at the deadline.
#[derive(Debug)]
pub struct DeadlineBody<B> {
    inner: B,
    bound: Option<Bound>,
    began: bool,
}

impl<B> DeadlineBody<B> {
    pub(super) fn new(inner: B, bound: Option<Bound>) -> Self {
        Self {
            inner,
            bound,
            began: false,
        }
    }

    /// Trailers that say CANCELLED at the deadline are the deadline (CONTRACT D11).
    fn judge(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let Some(bound) = &self.bound else {
            return Ok(frame);
        };
        let Some(trailers) = frame.trailers_ref() else {
            // A body that is always ready never lets the timer run: look at the clock instead,
            // from the second message on.
            if self.began && bound.remaining().is_zero() {
                return Err(bound.expired());
            }
            self.began = true;
            return Ok(frame);
        };
        match Status::from_headers(trailers).filter(|status| status.code() == Code::Cancelled) {
            Some(status) => {
                let error = Error::answered(classify::answer(&status), status);
                let named = bound.name(error);
                if named.code() == Code::DeadlineExceeded {
                    Err(named)
                } else {
                    Ok(frame)
                }
            }
            None => Ok(frame),
        }
    }
}

impl<B> Body for DeadlineBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        let Poll::Ready(frame) = polled else {
            return match &mut this.bound {
                Some(bound) => bound.poll_expired(cx).map(|error| {
                    this.bound = None;
                    Some(Err(error))
                }),
                None => Poll::Pending,
            };
        };
        let Some(frame) = frame else {
            this.bound = None;
            return Poll::Ready(None);
        };
        let judged = match (tidy(frame), &this.bound) {
            (Ok(frame), _) => this.judge(frame),
            (Err(error), Some(bound)) => Err(bound.name(error)),
            (Err(error), None) => Err(error),
        };
        if judged.as_ref().map_or(true, Frame::is_trailers) {
            this.bound = None;
        }
        Poll::Ready(Some(judged))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
