use std::task::{Context, Poll};

use http::Uri;
use tokio::time::Instant;

use crate::call::Deadline;
use crate::dispatch::Recorder;
use crate::error::Error;
use crate::kernel::timer::Home;
use crate::layers::deadline::DeadlineTimer;
use crate::report::Trace;

/// When an ordinary call began, and what ends it.
///
/// Whoever asks says since when there is an answer.
#[derive(Debug)]
pub(super) enum Span {
    Since(Instant),
    /// A deadline of its own, which was made when it began.
    Until(DeadlineTimer),
    /// The call that it is made for; and when it began. By itself in memory: few are made for
    /// another.
    ParentCall(Box<(DeadlineTimer, Instant)>),
}

impl Span {
    #[cold]
    pub(super) fn served(began: Instant, bound: DeadlineTimer) -> Self {
        Self::ParentCall(Box::new((bound, began)))
    }

    pub(super) fn bound(&self) -> Option<&DeadlineTimer> {
        match self {
            Self::Since(_) => None,
            Self::Until(bound) => Some(bound),
            Self::ParentCall(served) => Some(&served.0),
        }
    }

    pub(super) fn into_bound(self) -> Option<DeadlineTimer> {
        match self {
            Self::Since(_) => None,
            Self::Until(bound) => Some(bound),
            Self::ParentCall(served) => Some(served.0),
        }
    }

    /// Never `None`: `Until` holds a deadline.
    fn began(&self) -> Option<Instant> {
        match self {
            Self::Since(began) => Some(*began),
            Self::Until(bound) => bound.deadline().map(Deadline::start),
            Self::ParentCall(served) => Some(served.1),
        }
    }

    /// What would be written down of the call with this URI.
    #[cold]
    pub(super) fn trace(&self, uri: Option<&Uri>, answered: Option<Instant>) -> Trace {
        written(uri, self.began(), answered)
    }

    /// Its failure, by the name that the deadline gives it, with its report.
    #[cold]
    pub(super) fn named(
        &self,
        error: Error,
        uri: Option<&Uri>,
        answered: Option<Instant>,
    ) -> Error {
        let trace = self.trace(uri, answered);
        let error = match self.bound() {
            Some(bound) => bound.name(error, Some(&trace)),
            None => error,
        };
        Recorder::owning(trace).failed(error)
    }

    /// The end of the call, if it has come by now.
    #[inline]
    pub(super) fn expiry(&self, uri: Option<&Uri>, answered: Option<Instant>) -> Option<Error> {
        let bound = self.bound()?;
        let now = Instant::now();
        if !bound.has_ended(now) {
            return None;
        }
        let trace = self.trace(uri, answered);
        let error = bound.end(now, Some(trace.clone()));
        Some(Recorder::owning(trace).failed(error))
    }

    /// Wakes the task when the call must end.
    #[inline]
    pub(super) fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        home: Option<&Home>,
        uri: Option<&Uri>,
        answered: Option<Instant>,
    ) -> Poll<Error> {
        match self {
            Self::Since(_) => Poll::Pending,
            Self::Until(bound) => {
                let deadline = bound.deadline();
                let trace = || written(uri, deadline.map(Deadline::start), answered);
                poll_over(bound, cx, home, trace)
            }
            Self::ParentCall(served) => poll_served(served, cx, home, uri, answered),
        }
    }
}

#[inline]
fn poll_over(
    bound: &mut DeadlineTimer,
    cx: &mut Context<'_>,
    home: Option<&Home>,
    trace: impl Fn() -> Trace,
) -> Poll<Error> {
    let over = bound.poll_over(cx, home, || Some(trace()));
    over.map(|error| Recorder::owning(trace()).failed(error))
}

#[cold]
fn poll_served(
    (bound, began): &mut (DeadlineTimer, Instant),
    cx: &mut Context<'_>,
    home: Option<&Home>,
    uri: Option<&Uri>,
    answered: Option<Instant>,
) -> Poll<Error> {
    poll_over(bound, cx, home, || written(uri, Some(*began), answered))
}

#[cold]
fn written(uri: Option<&Uri>, began: Option<Instant>, answered: Option<Instant>) -> Trace {
    let under_way = |began| Trace::under_way(uri.and_then(Uri::path_and_query).cloned(), began);
    let trace = began.map_or_else(Trace::default, under_way);
    if let Some(answered) = answered {
        trace.answered_at(answered);
    }
    trace
}
