use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::call::{Budget, CallOptions};
use crate::classify;
use crate::dispatch::tidy;
use crate::error::{BoxError, Error, GiveUp};
use crate::grpc::{Code, STATUS, Status};

use super::Policy;
use super::answer::FirstRead;

/// The response body of a call that the retry layer had in hand.
///
/// It changes nothing of an OK answer. A failure after the answer began ends it with an
/// [`Error`] that was given up as [`GiveUp::Committed`].
#[derive(Debug)]
pub struct RetryBody<R> {
    inner: R,
    /// What was read while the head was held, and not handed on yet.
    first: Option<FirstRead>,
    watch: Option<Watch>,
}

/// What is done with the status at the end of a body.
#[derive(Debug)]
pub(super) struct Watch {
    charge: Option<Charge>,
    attempts: u32,
}

/// A budget, and what decides which failures are charged to it.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) budget: Arc<dyn Budget>,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) options: CallOptions,
}

impl Watch {
    pub(super) fn new(charge: Option<Charge>, attempts: u32) -> Self {
        Self { charge, attempts }
    }

    pub(super) fn succeeded(&self) {
        if let Some(charge) = &self.charge {
            charge.budget.succeeded();
        }
    }

    fn failed(&self, error: Error) -> Error {
        if let Some(charge) = &self.charge
            && charge.policy.is_charged(&error.verdict(), &charge.options)
        {
            charge.budget.failed();
        }
        error.given_up(GiveUp::Committed, self.attempts)
    }

    fn judge(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let Some(trailers) = frame.trailers_ref() else {
            return Ok(frame);
        };
        let status = Status::from_headers(trailers);
        if let Some(status) = status.filter(|status| status.code() != Code::Ok) {
            let verdict = classify::answer(&status);
            return Err(self.failed(Error::answered(verdict, status)));
        }
        // Trailers without a status are no success, and the client's to judge.
        if trailers.contains_key(STATUS) {
            self.succeeded();
        }
        Ok(frame)
    }
}

impl<R> RetryBody<R> {
    /// The body of a call that the layer let pass.
    pub(super) fn passing(inner: R) -> Self {
        Self {
            inner,
            first: None,
            watch: None,
        }
    }

    /// The body of an answer.
    pub(super) fn watching(inner: R, watch: Watch) -> Self {
        Self {
            inner,
            first: None,
            watch: Some(watch),
        }
    }

    /// The body of an answer of which this was read already.
    pub(super) fn released(inner: R, first: FirstRead, watch: Option<Watch>) -> Self {
        Self {
            inner,
            first: Some(first),
            watch,
        }
    }
}

impl<R> Body for RetryBody<R>
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
        let frame = match this.first.take() {
            Some(first) => first,
            None => match Pin::new(&mut this.inner).poll_frame(cx) {
                Poll::Ready(frame) => frame.map(tidy),
                Poll::Pending => return Poll::Pending,
            },
        };
        let Some(watch) = &this.watch else {
            return Poll::Ready(frame);
        };
        let judged = frame.map(|frame| match frame {
            Ok(frame) => watch.judge(frame),
            Err(error) => Err(watch.failed(error)),
        });
        if judged
            .as_ref()
            .is_none_or(|frame| frame.as_ref().map_or(true, Frame::is_trailers))
        {
            this.watch = None;
        }
        Poll::Ready(judged)
    }

    fn is_end_stream(&self) -> bool {
        match &self.first {
            Some(first) => first.is_none(),
            None => self.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let held = match &self.first {
            Some(Some(Ok(frame))) => frame.data_ref(),
            _ => None,
        };
        if let Some(held) = held {
            let held = u64::try_from(held.len()).unwrap_or(u64::MAX);
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper.saturating_add(held));
            }
            hint.set_lower(hint.lower().saturating_add(held));
        }
        hint
    }
}
