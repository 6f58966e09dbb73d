use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::body::OpenRequest;
use crate::classify::{self, Progress};
use crate::dispatch::{AnswerBody, Read, Recorder, Seen};
use crate::error::{BoxError, Error};
use crate::kernel::timer::NoRuntime;
use crate::report::Phase;

use super::attempt_timer::AttemptTimer;

/// The response body of an attempt. The timeout may apply to its first frame, and its status may be
/// the attempt's end at the server.
#[derive(Debug, Default)]
pub struct AttemptBody<R> {
    /// `None` once the timeout has passed, so that the body does not keep the stream alive.
    inner: Option<AnswerBody<R>>,
    /// `None` once nothing can end the response on behalf of the attempt.
    bound: Option<AttemptTimer>,
    /// `None` for a call that is not recorded.
    recorder: Option<Recorder>,
    /// The request, which ends with the call if this layer ends it (CONTRACT R13).
    request: Option<OpenRequest>,
}

impl<R> AttemptBody<R> {
    pub(super) fn passing(inner: AnswerBody<R>) -> Self {
        Self {
            inner: Some(inner),
            bound: None,
            recorder: None,
            request: None,
        }
    }

    pub(super) fn new(
        inner: AnswerBody<R>,
        bound: Option<AttemptTimer>,
        recorder: Recorder,
        request: Option<OpenRequest>,
    ) -> Self {
        Self {
            inner: Some(inner),
            bound,
            recorder: Some(recorder),
            request,
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

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Read> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let Some(recorder) = &mut this.recorder else {
            return inner.read_past(cx);
        };
        let failure = match inner.poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                let seen = Seen::tidy(&mut frame);
                let bound = this.bound.take();
                let end = bound.as_ref().and_then(|bound| end_of(bound, seen, &frame));
                let Some(end) = end else {
                    this.bound = bound.and_then(AttemptTimer::begun);
                    recorder.saw(seen);
                    return Poll::Ready(Some(Ok(frame)));
                };
                Some(end)
            }
            Poll::Ready(Some(Err(error))) => inner.broken(error).map(|error| match &this.bound {
                Some(bound) => bound.name(error, Phase::Response),
                None => error,
            }),
            Poll::Ready(None) => None,
            Poll::Pending => {
                let Some(bound) = &mut this.bound else {
                    return Poll::Pending;
                };
                Some(match ready!(bound.poll_passed(cx)) {
                    Ok(()) => bound.expired(Phase::Response, Progress::Reached),
                    Err(NoRuntime) => Error::without_runtime(Progress::Reached),
                })
            }
        };
        this.bound = None;
        let Some(error) = failure else {
            recorder.over(None);
            return Poll::Ready(None);
        };
        this.inner = None;
        if let Some(request) = this.request.take() {
            request.end();
        }
        Poll::Ready(Some(Err(recorder.failed(error))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(AnswerBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

/// The end of the attempt, if a frame is one under another code.
fn end_of(bound: &AttemptTimer, seen: Seen, frame: &Frame<Bytes>) -> Option<Error> {
    match seen {
        Seen::Trailers(Some(code)) if classify::may_be_expiry(code) => {
            let said = frame.trailers_ref().and_then(classify::trailers);
            bound.said(said, Phase::Response).err()
        }
        _ => None,
    }
}
