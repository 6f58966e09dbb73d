use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::dispatch::{AnswerBody, Passing, Read, Recorder, Seen, and_held};
use crate::error::{BoxError, Error};
use crate::grpc::Code;

use super::answer::Judged;
use super::completion::Completion;
use super::credentials::Sent;

/// The response body of a call that the retry layer handled.
///
/// An OK response is unchanged. A failure after the response began, or an end without a status,
/// ends it with an [`Error`] that was given up as
/// [`GiveUp::Committed`](crate::GiveUp::Committed).
#[derive(Debug)]
pub struct RetryBody<R> {
    inner: AnswerBody<R>,
    state: State,
    /// The credentials of the attempt, from a hook.
    sent: Option<Box<Sent>>,
}

#[derive(Debug)]
enum State {
    Active(Active),
    /// The layer passed the call through, and does not record it.
    Passing(Option<Passing>),
}

#[derive(Debug)]
struct Active {
    known: Known,
    /// `None` once the status has arrived.
    call: Option<Completion>,
    recorder: Recorder,
}

/// Frames of the inner body that were read ahead.
#[derive(Debug)]
enum Known {
    Nothing,
    /// Data read while the head was held, and not yet returned.
    Data(Bytes),
    /// Any other result read while the head was held.
    Next(Box<Result<Frame<Bytes>, Error>>),
    /// The inner body has ended and must not be polled again.
    End,
}

impl<R> RetryBody<R> {
    /// The body of a call that the layer passed through, or of a complete response.
    pub(super) fn passing(inner: AnswerBody<R>, recorder: Recorder) -> Self {
        match recorder.trace() {
            None => Self {
                inner,
                state: State::Passing(recorder.why_passing()),
                sent: None,
            },
            Some(_) => Self::new(inner, Known::Nothing, None, recorder),
        }
    }

    /// The body of a response.
    #[inline]
    pub(super) fn answering(
        inner: R,
        said: Judged,
        call: Option<Completion>,
        recorder: Recorder,
    ) -> Self {
        let inner = AnswerBody::new(inner, said.code());
        if said != Judged::Ok {
            return Self::new(inner, Known::Nothing, call, recorder);
        }
        // No trailers will follow.
        if let Some(call) = call {
            call.succeeded();
        }
        Self::passing(inner, recorder)
    }

    /// The body of a response whose first frame was read already.
    pub(super) fn released(
        inner: R,
        first: Read,
        call: Option<Completion>,
        recorder: Recorder,
    ) -> Self {
        let known = match first {
            None => Known::End,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Known::Data(data),
                Err(frame) => Known::Next(Box::new(Ok(frame))),
            },
            Some(Err(error)) => Known::Next(Box::new(Err(error))),
        };
        Self::new(AnswerBody::new(inner, None), known, call, recorder)
    }

    fn new(
        inner: AnswerBody<R>,
        known: Known,
        call: Option<Completion>,
        recorder: Recorder,
    ) -> Self {
        let active = Active {
            known,
            call,
            recorder,
        };
        Self {
            inner,
            state: State::Active(active),
            sent: None,
        }
    }

    /// Sets the credentials of the attempt.
    pub(super) fn of(self, sent: Option<Box<Sent>>) -> Self {
        Self { sent, ..self }
    }
}

/// An empty body, as a generated client with an interceptor makes it for a call that the
/// interceptor refuses.
impl<R: Default> Default for RetryBody<R> {
    fn default() -> Self {
        Self::passing(AnswerBody::default(), Recorder::default())
    }
}

impl Active {
    fn poll<R>(&mut self, inner: &mut AnswerBody<R>, cx: &mut Context<'_>) -> Poll<Read>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let read = match mem::replace(&mut self.known, Known::Nothing) {
            Known::Nothing => match ready!(inner.poll_frame(cx)) {
                Some(Ok(frame)) => Some(Ok(frame)),
                Some(Err(error)) => inner.broken(error).map(Err),
                None => None,
            },
            Known::Data(data) => Some(Ok(Frame::data(data))),
            Known::Next(read) => Some(*read),
            Known::End => None,
        };
        let failure = match read {
            Some(Ok(mut frame)) => {
                let seen = Seen::tidy(&mut frame);
                let Some(failure) = self.judge(seen, &frame) else {
                    self.recorder.saw(seen);
                    return Poll::Ready(Some(Ok(frame)));
                };
                failure
            }
            Some(Err(error)) => match self.call.take() {
                Some(call) => call.broke_off(error),
                None => error,
            },
            None => {
                self.known = Known::End;
                let call = self.call.take();
                let Some(failure) = call.and_then(|call| call.ended(None)) else {
                    self.recorder.over(None);
                    return Poll::Ready(None);
                };
                failure
            }
        };
        Poll::Ready(Some(Err(self.recorder.failed(failure))))
    }

    /// Passes an OK response on; everything else is the call's failure.
    #[inline]
    fn judge(&mut self, seen: Seen, frame: &Frame<Bytes>) -> Option<Error> {
        let Seen::Trailers(code) = seen else {
            return None;
        };
        let call = self.call.take()?;
        if code == Some(Code::Ok) {
            call.succeeded();
            return None;
        }
        call.ended(frame.trailers_ref())
    }
}

impl<R> Body for RetryBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Read> {
        let this = &mut *self;
        let read = match &mut this.state {
            State::Active(active) => active.poll(&mut this.inner, cx),
            State::Passing(why) => {
                let read = this.inner.read_past(cx);
                match *why {
                    Some(why) => read.map_err(|error| why.name(error)),
                    None => read,
                }
            }
        };
        if let (Some(sent), Poll::Ready(Some(read))) = (&this.sent, &read) {
            sent.read(read);
        }
        read
    }

    /// `false` until the status was observed.
    fn is_end_stream(&self) -> bool {
        let State::Active(active) = &self.state else {
            return self.inner.is_end_stream();
        };
        let at_its_end = match &active.known {
            Known::Nothing => self.inner.is_end_stream(),
            Known::Data(_) | Known::Next(_) => false,
            Known::End => true,
        };
        at_its_end && active.call.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.inner.size_hint();
        match &self.state {
            State::Active(Active {
                known: Known::Data(held),
                ..
            }) => and_held(hint, held),
            _ => hint,
        }
    }
}
