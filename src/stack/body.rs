use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::dispatch::{Read, Seen, and_held, broken};
use crate::error::{BoxError, Error};
use crate::grpc::Code;
use crate::layers::attempt_timeout::AttemptBody;
use crate::layers::deadline::DeadlineBody;
use crate::layers::retry::RetryBody;
use crate::layers::wait_for_ready::WaitBody;

use super::answered::Answered;
use super::said::Said;

/// The response body under all layers.
type Layered<R> = DeadlineBody<RetryBody<WaitBody<AttemptBody<R>>>>;

/// The response body of a call through [`Resilient`](super::Resilient).
#[derive(Debug)]
pub struct ResilientBody<R>(Kind<R>);

#[derive(Debug)]
enum Kind<R> {
    Plain(Plain<R>),
    Layers(Box<Layered<R>>),
}

/// The response body of a call that its first attempt answered, on the fast path.
#[derive(Debug)]
struct Plain<R> {
    /// A message that was read while the head was held, and not handed on yet.
    first: Option<Bytes>,
    rest: Rest<R>,
    /// Present until the status has come.
    call: Option<Answered>,
    has_begun: bool,
}

/// The part of the body that is still to be read.
#[derive(Debug)]
enum Rest<R> {
    Body(R),
    /// A frame that was read while the head was held and is not a message, and the rest of the
    /// body.
    Behind(Box<(Read, R)>),
    /// Ended, failed or expired. The stream is dropped, even if the body is kept.
    Over,
}

impl<R> ResilientBody<R> {
    #[inline]
    pub(super) fn answered(inner: R, call: Answered) -> Self {
        Self::new(None, Rest::Body(inner), call)
    }

    /// Like [`answered`](Self::answered), for an answer whose first frame was read already.
    pub(super) fn held(inner: R, first: Read, call: Answered) -> Self {
        match first.map(|read| read.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => Self::new(Some(data), Rest::Body(inner), call),
            Some(Ok(Err(frame))) => Self::behind(Some(Ok(frame)), inner, call),
            Some(Err(error)) => Self::behind(Some(Err(error)), inner, call),
            None => Self::behind(None, inner, call),
        }
    }

    pub(super) fn layers(body: Layered<R>) -> Self {
        Self(Kind::Layers(Box::new(body)))
    }

    #[cold]
    fn behind(read: Read, inner: R, call: Answered) -> Self {
        Self::new(None, Rest::Behind(Box::new((read, inner))), call)
    }

    #[inline]
    fn new(first: Option<Bytes>, rest: Rest<R>, call: Answered) -> Self {
        Self(Kind::Plain(Plain {
            first,
            rest,
            call: Some(call),
            has_begun: false,
        }))
    }
}

/// An empty body, which a generated client with an interceptor creates for a call that the
/// interceptor rejects.
impl<R> Default for ResilientBody<R> {
    fn default() -> Self {
        Self(Kind::Plain(Plain {
            first: None,
            rest: Rest::Over,
            call: None,
            has_begun: false,
        }))
    }
}

impl<R> Plain<R> {
    /// Hands a message on. A body that is always ready never lets the timer run, so from the second
    /// message on the clock is read instead.
    #[inline]
    fn message(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        if mem::replace(&mut self.has_begun, true)
            && let Some(call) = &mut self.call
            && let Some(expiry) = call.expiry()
        {
            return Err(self.failed(expiry));
        }
        Ok(frame)
    }

    /// Hands the status on if it is OK; any other becomes the failure of the call.
    #[inline]
    fn status(&mut self, mut frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let seen = Seen::tidy(&mut frame);
        let Some(said) = self.take_said() else {
            return Ok(frame);
        };
        if seen == Seen::Trailers(Some(Code::Ok)) {
            said.succeeded();
        } else if let Some(error) = said.committed().ended(frame.trailers_ref()) {
            return Err(self.ended(error, &said));
        }
        self.call = None;
        Ok(frame)
    }

    /// The failure that the status reports, as an expiry if it is one.
    #[cold]
    fn ended(&mut self, error: Error, said: &Said) -> Error {
        let error = match self.call.take() {
            Some(call) => call.named(error, said),
            None => error,
        };
        self.failed(error)
    }

    /// An end without a status, or a failure.
    #[cold]
    fn broken(&mut self, error: Option<Error>) -> Read {
        self.rest = Rest::Over;
        let generation = self.call.as_ref().and_then(|call| call.generation);
        let Some(said) = self.take_said() else {
            return error.map(Err);
        };
        let error = match error {
            Some(error) => said.broke_off(generation, error),
            None => said.committed().ended(None)?,
        };
        Some(Err(self.ended(error, &said)))
    }

    /// The parts to notify of the call's end; taken once, because one of them may panic.
    #[inline]
    fn take_said(&mut self) -> Option<Arc<Said>> {
        self.call.as_mut()?.said.take()
    }

    /// Ends the body with this failure.
    #[cold]
    fn failed(&mut self, error: Error) -> Error {
        self.rest = Rest::Over;
        self.call = None;
        error
    }

    /// Polls the call's end while the reader waits for a frame.
    #[inline]
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        let Some(call) = &mut self.call else {
            return Poll::Pending;
        };
        let error = ready!(call.poll_over(cx));
        Poll::Ready(Some(Err(self.failed(error))))
    }
}

impl<R: Body> Rest<R> {
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Body(inner) => inner.is_end_stream(),
            Self::Behind(behind) => behind.1.is_end_stream(),
            Self::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Body(inner) => inner.size_hint(),
            Self::Behind(behind) => behind.1.size_hint(),
            Self::Over => SizeHint::with_exact(0),
        }
    }
}

impl<R> Plain<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        let Rest::Body(inner) = &mut self.rest else {
            return Poll::Ready(self.behind());
        };
        if let Some(data) = self.first.take() {
            return Poll::Ready(Some(self.message(Frame::data(data))));
        }
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                Poll::Ready(Some(self.message(frame)))
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.status(frame))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(self.broken(Some(broken(error)))),
            Poll::Ready(None) => Poll::Ready(self.broken(None)),
            Poll::Pending => self.poll_over(cx),
        }
    }

    /// Takes the frame that was read while the head was held and is not a message.
    #[cold]
    fn behind(&mut self) -> Read {
        let Rest::Behind(behind) = mem::replace(&mut self.rest, Rest::Over) else {
            return None;
        };
        let (read, inner) = *behind;
        self.rest = Rest::Body(inner);
        match read {
            Some(Ok(frame)) => Some(self.status(frame)),
            Some(Err(error)) => self.broken(Some(error)),
            None => self.broken(None),
        }
    }
}

impl<R> Body for ResilientBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Read> {
        match &mut self.0 {
            Kind::Plain(body) => body.poll_frame(cx),
            Kind::Layers(body) => Pin::new(body).poll_frame(cx),
        }
    }

    /// Not before the status was seen.
    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Plain(body) => body.call.is_none() && body.rest.is_end_stream(),
            Kind::Layers(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let body = match &self.0 {
            Kind::Plain(body) => body,
            Kind::Layers(body) => return body.size_hint(),
        };
        let hint = body.rest.size_hint();
        match &body.first {
            Some(held) => and_held(hint, held),
            None => hint,
        }
    }
}
