use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::classify::{self, Progress};
use crate::dispatch::{Recorder, passed, tidy};
use crate::error::{BoxError, Error};
use crate::report::Phase;

use super::bound::Bound;

/// The response body of an attempt, whose first frame may be bounded.
#[derive(Debug)]
pub struct AttemptBody<R> {
    /// `None` once the time was over: whoever keeps the body does not keep the stream.
    inner: Option<R>,
    /// `None` from the first frame on.
    bound: Option<Bound>,
    /// `None` for a call of which nobody writes anything down.
    recorder: Option<Recorder>,
}

impl<R> AttemptBody<R> {
    pub(super) fn passing(inner: R) -> Self {
        Self {
            inner: Some(inner),
            bound: None,
            recorder: None,
        }
    }

    pub(super) fn new(inner: R, bound: Option<Bound>, recorder: Recorder) -> Self {
        Self {
            inner: Some(inner),
            bound,
            recorder: Some(recorder),
        }
    }
}

impl<R> Body for AttemptBody<R>
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
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(inner).poll_frame(cx);
        let Some(recorder) = &mut this.recorder else {
            return passed(polled);
        };
        let Some(bound) = &mut this.bound else {
            return polled.map(|read| recorder.read(read.map(tidy)));
        };
        let read = match polled {
            Poll::Ready(read) => read.map(tidy).map(|read| judge(read, bound)),
            Poll::Pending => {
                ready!(bound.poll_passed(cx));
                Some(Err(bound.expired(Phase::Response, Progress::Reached, None)))
            }
        };
        this.bound = None;
        if let Some(Err(_)) = &read {
            this.inner = None;
        }
        Poll::Ready(recorder.read(read))
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

/// The first frame; or the end of the attempt that it is by another name.
fn judge(read: Result<Frame<Bytes>, Error>, bound: &Bound) -> Result<Frame<Bytes>, Error> {
    let frame = read.map_err(|error| bound.name(error, Phase::Response))?;
    let said = frame.trailers_ref().and_then(classify::trailers);
    bound.said(said, Phase::Response).map(|()| frame)
}
