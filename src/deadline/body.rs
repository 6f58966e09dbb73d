use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::classify;
use crate::dispatch::{Recorder, tidy};
use crate::error::{BoxError, Error};

use super::bound::Bound;

/// A response body that ends at the deadline.
#[derive(Debug)]
pub struct DeadlineBody<B> {
    /// `None` once it failed or expired: whoever keeps the body does not keep the stream.
    inner: Option<B>,
    bound: Option<Bound>,
    began: bool,
    recorder: Recorder,
}

impl<B> DeadlineBody<B> {
    pub(super) fn new(inner: B, bound: Option<Bound>, recorder: Recorder) -> Self {
        Self {
            inner: Some(inner),
            bound,
            began: false,
            recorder,
        }
    }

    /// The frame, unless it comes too late or says in other words that it does.
    fn judge(&mut self, frame: Result<Frame<Bytes>, Error>) -> Result<Frame<Bytes>, Error> {
        let Some(bound) = &self.bound else {
            return frame;
        };
        let frame = frame.map_err(|error| bound.name(error))?;
        let Some(trailers) = frame.trailers_ref() else {
            // A body that is always ready never lets the timer run: look at the clock instead,
            // from the second message on.
            if let Some(end) = bound.ended().filter(|_| self.began) {
                return Err(end);
            }
            self.began = true;
            return Ok(frame);
        };
        // Nothing to judge, and nothing to allocate, in an OK.
        let failure = classify::trailers(trailers);
        match failure.and_then(|(verdict, status)| bound.cancelled(verdict, status)) {
            Some(expiry) => Err(expiry),
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
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let judged = match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(None) => {
                this.bound = None;
                return Poll::Ready(this.recorder.read(None));
            }
            Poll::Ready(Some(frame)) => this.judge(tidy(frame)),
            Poll::Pending => match &mut this.bound {
                Some(bound) => Err(ready!(bound.poll_over(cx))),
                None => return Poll::Pending,
            },
        };
        if judged.as_ref().map_or(true, Frame::is_trailers) {
            this.bound = None;
        }
        if judged.is_err() {
            this.inner = None;
        }
        Poll::Ready(this.recorder.read(Some(judged)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
