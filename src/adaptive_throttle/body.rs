use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::classify::{self, Progress, Verdict};
use crate::dispatch::{Recorder, tidy};
use crate::error::{BoxError, Error};

use super::throttle::Accepted;

/// The response body of a call that was let through. Its frames go up as they come; the first one
/// may say that the server refused the call after all.
#[derive(Debug)]
pub struct ThrottleBody<R> {
    inner: R,
    /// `None` from the first frame on.
    accepted: Option<Accepted>,
    recorder: Recorder,
}

impl<R> ThrottleBody<R> {
    pub(super) fn new(inner: R, accepted: Option<Accepted>, recorder: Recorder) -> Self {
        Self {
            inner,
            accepted,
            recorder,
        }
    }
}

impl<R> Body for ThrottleBody<R>
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
        let read = ready!(Pin::new(&mut this.inner).poll_frame(cx)).map(tidy);
        if let Some(accepted) = this.accepted.take()
            && let Some(verdict) = read.as_ref().and_then(answered)
        {
            accepted.failed(&verdict);
        }
        Poll::Ready(this.recorder.read(read))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The failure that the server spoke of: in trailers, or as a retry layer below hands them up.
fn answered(read: &Result<Frame<Bytes>, Error>) -> Option<Verdict> {
    let verdict = match read {
        Ok(frame) => classify::trailers(frame.trailers_ref()?)?.0,
        Err(error) => error.verdict(),
    };
    (verdict.progress == Progress::Answered).then_some(verdict)
}
