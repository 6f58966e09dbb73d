use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::deadline::Bound;
use crate::dispatch::Recorder;
use crate::error::Error;
use crate::report::Trace;

use super::said::Said;

/// An ordinary call whose answer has begun: what the layers need of it to the end.
#[derive(Debug)]
pub(super) struct Answered {
    /// Until the status has come.
    pub(super) said: Option<Arc<Said>>,
    /// That of the channel in which it went; `None` once it broke off.
    pub(super) era: Option<u64>,
    pub(super) bound: Option<Bound>,
    pub(super) began: Instant,
    /// Since when.
    pub(super) since: Instant,
}

impl Answered {
    /// The failure of the call, by the name that the deadline gives it, with its report.
    #[cold]
    pub(super) fn named(&self, error: Error) -> Error {
        let trace = self.trace();
        let error = match &self.bound {
            Some(bound) => bound.name(error, Some(&trace)),
            None => error,
        };
        Recorder::owning(trace).failed(error)
    }

    /// The end of the call, if it has come by now.
    #[inline]
    pub(super) fn expiry(&self) -> Option<Error> {
        let bound = self.bound.as_ref()?;
        let now = Instant::now();
        if !bound.has_ended(now) {
            return None;
        }
        let trace = self.trace();
        let error = bound.end(now, Some(trace.clone()));
        Some(Recorder::owning(trace).failed(error))
    }

    /// Wakes the reader when the call must end.
    #[inline]
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let (began, since) = (self.began, self.since);
        let Some(bound) = &mut self.bound else {
            return Poll::Pending;
        };
        let over = bound.poll_over(cx, || Some(written(began, since)));
        over.map(|error| Recorder::owning(written(began, since)).failed(error))
    }

    fn trace(&self) -> Trace {
        written(self.began, self.since)
    }
}

/// What would be written down of such a call.
#[cold]
fn written(began: Instant, since: Instant) -> Trace {
    let trace = Trace::under_way(began);
    trace.answered_at(since);
    trace
}
