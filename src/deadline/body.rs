use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::classify;
use crate::dispatch::{Read, Recorder, passed, tidy};
use crate::error::{BoxError, Error};
use crate::grpc::Code;

use super::bound::Bound;

/// A response body that ends at the deadline.
#[derive(Debug)]
pub struct DeadlineBody<B> {
    /// `None` once it failed or expired: whoever keeps the body does not keep the stream.
    inner: Option<B>,
    /// `None` for a call of which nobody writes anything down.
    active: Option<Active>,
}

#[derive(Debug)]
struct Active {
    bound: Option<Bound>,
    /// Made once a reader has to wait. By itself in memory, so that the body can be moved.
    timer: Option<Pin<Box<Sleep>>>,
    began: bool,
    recorder: Recorder,
}

impl<B> DeadlineBody<B> {
    pub(super) fn passing(inner: B) -> Self {
        Self {
            inner: Some(inner),
            active: None,
        }
    }

    pub(super) fn new(inner: B, bound: Option<Bound>, recorder: Recorder) -> Self {
        let active = Active {
            bound,
            timer: None,
            began: false,
            recorder,
        };
        Self {
            inner: Some(inner),
            active: Some(active),
        }
    }
}

impl Active {
    /// What was read, or the end of the call.
    fn poll<E: Into<BoxError>>(
        &mut self,
        polled: Poll<Option<Result<Frame<Bytes>, E>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Read> {
        let judged = match polled {
            Poll::Ready(None) => {
                self.end();
                return Poll::Ready(self.recorder.read(None));
            }
            Poll::Ready(Some(frame)) => self.judge(tidy(frame)),
            Poll::Pending => Err(ready!(self.poll_over(cx))),
        };
        if judged.as_ref().map_or(true, Frame::is_trailers) {
            self.end();
        }
        Poll::Ready(self.recorder.read(Some(judged)))
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
            if std::mem::replace(&mut self.began, true)
                && let Some(end) = bound.ended(Instant::now())
            {
                return Err(end);
            }
            return Ok(frame);
        };
        if Code::from_headers(trailers) != Some(Code::Cancelled) {
            return Ok(frame);
        }
        let failure = classify::trailers(trailers);
        match failure.and_then(|(verdict, status)| bound.cancelled(verdict, status)) {
            Some(expiry) => Err(expiry),
            None => Ok(frame),
        }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let timer = &mut self.timer;
        let Some(bound) = &mut self.bound else {
            return Poll::Pending;
        };
        bound.poll_over(cx, |cx, at| {
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            timer.as_mut().poll(cx)
        })
    }

    fn end(&mut self) {
        self.bound = None;
        self.timer = None;
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
        let polled = Pin::new(inner).poll_frame(cx);
        let Some(active) = &mut this.active else {
            return passed(polled);
        };
        let read = ready!(active.poll(polled, cx));
        if let Some(Err(_)) = read {
            this.inner = None;
        }
        Poll::Ready(read)
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
