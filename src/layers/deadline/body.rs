use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::body::OpenRequest;
use crate::classify;
use crate::dispatch::{AnswerBody, Read, Recorder, Seen};
use crate::error::{BoxError, Error};

use super::deadline_timer::DeadlineTimer;

/// A response body that ends at the deadline.
#[derive(Debug, Default)]
pub struct DeadlineBody<B> {
    /// `None` once it failed or expired, so that the body does not keep the stream alive.
    inner: Option<AnswerBody<B>>,
    /// `None` for a call that is not recorded.
    active: Option<Active>,
}

#[derive(Debug)]
struct Active {
    bound: Option<DeadlineTimer>,
    began: bool,
    recorder: Recorder,
    /// The request, which ends with the call if this layer ends it (CONTRACT R13).
    request: Option<OpenRequest>,
}

impl<B> DeadlineBody<B> {
    pub(super) fn passing(inner: AnswerBody<B>) -> Self {
        Self {
            inner: Some(inner),
            active: None,
        }
    }

    pub(super) fn new(
        inner: AnswerBody<B>,
        bound: Option<DeadlineTimer>,
        recorder: Recorder,
        request: Option<OpenRequest>,
    ) -> Self {
        let active = Active {
            bound,
            began: false,
            recorder,
            request,
        };
        Self {
            inner: Some(inner),
            active: Some(active),
        }
    }
}

impl Active {
    /// The frame; or the end of the call, if the frame is late or is the expiry under another code.
    #[inline]
    fn poll<R>(&mut self, inner: &mut AnswerBody<R>, cx: &mut Context<'_>) -> Poll<Read>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let failure = match inner.poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                let seen = Seen::tidy(&mut frame);
                let Some(end) = self.judge(seen, &frame) else {
                    self.saw(seen);
                    return Poll::Ready(Some(Ok(frame)));
                };
                Some(end)
            }
            Poll::Ready(Some(Err(error))) => inner.broken(error).map(|error| match &self.bound {
                Some(bound) => bound.name(error, self.recorder.trace()),
                None => error,
            }),
            Poll::Ready(None) => None,
            Poll::Pending => Some(ready!(self.poll_over(cx))),
        };
        let Some(error) = failure else {
            self.saw(Seen::Trailers(None));
            return Poll::Ready(None);
        };
        self.bound = None;
        if let Some(request) = self.request.take() {
            request.end();
        }
        Poll::Ready(Some(Err(self.recorder.failed(error))))
    }

    /// The end of the call, if the frame is late or is the expiry under another code.
    #[inline]
    fn judge(&mut self, seen: Seen, frame: &Frame<Bytes>) -> Option<Error> {
        let bound = self.bound.as_ref()?;
        match seen {
            // With a body that is always ready the timer is never polled: read the clock instead,
            // from the second message on.
            Seen::Data if std::mem::replace(&mut self.began, true) => {
                bound.ended(Instant::now(), self.recorder.trace())
            }
            Seen::Trailers(Some(code)) if classify::may_be_expiry(code) => {
                let said = classify::trailers(frame.trailers_ref()?);
                bound.said(said, self.recorder.trace())
            }
            _ => None,
        }
    }

    fn saw(&mut self, seen: Seen) {
        if let Seen::Trailers(code) = seen {
            self.bound = None;
            self.recorder.over(code);
        }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let recorder = &self.recorder;
        let Some(bound) = &mut self.bound else {
            return Poll::Pending;
        };
        bound.poll_over(cx, None, || recorder.trace().cloned())
    }
}

impl<B> Body for DeadlineBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Read> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let Some(active) = &mut this.active else {
            return inner.read_past(cx);
        };
        let read = ready!(active.poll(inner, cx));
        if let Some(Err(_)) = read {
            this.inner = None;
        }
        Poll::Ready(read)
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
