use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, SizeHint};

use crate::classify;
use crate::dispatch::{AnswerBody, Read, Recorder, Seen};
use crate::error::{BoxError, Error};

use super::throttle::Accepted;

/// The response body of a call that was let through. Frames pass unchanged; the first frame may
/// show that the server refused the call.
#[derive(Debug, Default)]
pub struct ThrottleBody<R> {
    inner: AnswerBody<R>,
    /// `None` from the first frame on.
    accepted: Option<Accepted>,
    recorder: Recorder,
}

impl<R> ThrottleBody<R> {
    pub(super) fn new(
        inner: AnswerBody<R>,
        accepted: Option<Accepted>,
        recorder: Recorder,
    ) -> Self {
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

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Read> {
        let this = &mut *self;
        let read = ready!(this.inner.poll_frame(cx));
        let accepted = this.accepted.take();
        let failure = match read {
            Some(Ok(mut frame)) => {
                let seen = Seen::tidy(&mut frame);
                if let Some(accepted) = accepted
                    && let Some((verdict, _)) = frame.trailers_ref().and_then(classify::trailers)
                {
                    accepted.failed(&verdict);
                }
                this.recorder.saw(seen);
                return Poll::Ready(Some(Ok(frame)));
            }
            Some(Err(error)) => this.inner.broken(error),
            None => None,
        };
        let Some(error) = failure else {
            this.recorder.over(None);
            return Poll::Ready(None);
        };
        if let Some(accepted) = accepted {
            accepted.failed(&error.verdict());
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
