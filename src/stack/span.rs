use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::call::Deadline;
use crate::deadline::Bound;
use crate::dispatch::Recorder;
use crate::error::Error;
use crate::report::Trace;

/// When an ordinary call began, and what ends it. A deadline tells both, since it is made when the call
/// begins.
///
/// Whoever asks says since when there is an answer.
#[derive(Debug)]
pub(super) enum Span {
    Since(Instant),
    Until(Bound),
}

impl Span {
    pub(super) fn bound(&self) -> Option<&Bound> {
        match self {
            Self::Since(_) => None,
            Self::Until(bound) => Some(bound),
        }
    }

    fn began(&self) -> Option<Instant> {
        match self {
            Self::Since(began) => Some(*began),
            Self::Until(bound) => bound.deadline().map(Deadline::made),
        }
    }

    /// What would be written down of the call.
    #[cold]
    pub(super) fn trace(&self, answered: Option<Instant>) -> Trace {
        written(self.began(), answered)
    }

    /// Its failure, by the name that the deadline gives it, with its report.
    #[cold]
    pub(super) fn named(&self, error: Error, answered: Option<Instant>) -> Error {
        let trace = self.trace(answered);
        let error = match self.bound() {
            Some(bound) => bound.name(error, Some(&trace)),
            None => error,
        };
        Recorder::owning(trace).failed(error)
    }

    /// The end of the call, if it has come by now.
    #[inline]
    pub(super) fn expiry(&self, answered: Option<Instant>) -> Option<Error> {
        let bound = self.bound()?;
        let now = Instant::now();
        if !bound.has_ended(now) {
            return None;
        }
        let trace = self.trace(answered);
        let error = bound.end(now, Some(trace.clone()));
        Some(Recorder::owning(trace).failed(error))
    }

    /// Wakes the task when the call must end.
    #[inline]
    pub(super) fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        answered: Option<Instant>,
    ) -> Poll<Error> {
        let Self::Until(bound) = self else {
            return Poll::Pending;
        };
        let deadline = bound.deadline();
        let trace = || written(deadline.map(Deadline::made), answered);
        let over = bound.poll_over(cx, || Some(trace()));
        over.map(|error| Recorder::owning(trace()).failed(error))
    }
}

#[cold]
fn written(began: Option<Instant>, answered: Option<Instant>) -> Trace {
    let trace = began.map_or_else(Trace::default, Trace::under_way);
    if let Some(answered) = answered {
        trace.answered_at(answered);
    }
    trace
}
