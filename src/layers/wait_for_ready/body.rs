use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, SizeHint};

use crate::dispatch::{AnswerBody, Read, Recorder, Seen};
use crate::error::{BoxError, Error};

use crate::ready::ConnectionWatch;

/// The response body of a call that passed the gate. Only its errors are changed: they get the
/// codes of their causes.
#[derive(Debug, Default)]
pub struct WaitBody<R> {
    inner: AnswerBody<R>,
    watch: Option<ConnectionWatch>,
    recorder: Recorder,
}

impl<R> WaitBody<R> {
    pub(super) fn new(
        inner: AnswerBody<R>,
        watch: Option<ConnectionWatch>,
        recorder: Recorder,
    ) -> Self {
        Self {
            inner,
            watch,
            recorder,
        }
    }
}

impl<R> Body for WaitBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Read> {
        let this = &mut *self;
        let failure = match ready!(this.inner.poll_frame(cx)) {
            Some(Ok(mut frame)) => {
                this.recorder.saw(Seen::tidy(&mut frame));
                return Poll::Ready(Some(Ok(frame)));
            }
            Some(Err(error)) => this.inner.broken(error),
            None => None,
        };
        let Some(error) = failure else {
            this.recorder.over(None);
            return Poll::Ready(None);
        };
        if let Some(watch) = this.watch.take() {
            watch.failed(&error);
        }
        Poll::Ready(Some(Err(this.recorder.failed(error))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
