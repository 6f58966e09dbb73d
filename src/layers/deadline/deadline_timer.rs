use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::coop::has_budget_remaining;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::call::{Deadline, ParentCall};
use crate::classify::{Reason, Verdict};
use crate::error::{Error, GiveUp};
use crate::grpc::Status;
use crate::kernel::timer::{Home, NoRuntime};
use crate::report::Trace;

use super::timer::Timer;

/// Ends one call at its deadline, or when its parent call ends. The owner holds the trace.
#[derive(Debug)]
pub(crate) struct DeadlineTimer {
    deadline: Option<Deadline>,
    timer: Timer,
    /// `None` where the owner passes the home to each poll.
    home: Option<Arc<Home>>,
    /// Boxed, because few calls have a parent call.
    served: Option<Box<Ending>>,
}

#[derive(Debug)]
struct Ending {
    over: CancellationToken,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Ending {
    fn new(over: CancellationToken) -> Self {
        Self {
            wait: Box::pin(over.clone().cancelled_owned()),
            over,
        }
    }
}

impl DeadlineTimer {
    #[inline]
    pub(crate) fn new(deadline: Option<Deadline>, served: Option<&ParentCall>) -> Self {
        Self {
            deadline,
            timer: Timer::default(),
            home: None,
            served: served.map(|served| Box::new(Ending::new(served.ending()))),
        }
    }

    /// Remembers the home of the timers.
    pub(crate) fn at_home(self, home: Arc<Home>) -> Self {
        let home = Some(home);
        Self { home, ..self }
    }

    pub(crate) fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// The error of the call, if it has ended by `now`.
    pub(super) fn ended(&self, now: Instant, trace: Option<&Trace>) -> Option<Error> {
        self.has_ended(now).then(|| self.end(now, trace.cloned()))
    }

    /// Whether the call has ended by `now`.
    #[inline]
    pub(crate) fn has_ended(&self, now: Instant) -> bool {
        let is_over = self.deadline.is_some_and(|deadline| deadline.at() <= now);
        let served = self.served.as_ref();
        is_over || served.is_some_and(|served| served.over.is_cancelled())
    }

    /// The error of a call that has ended.
    #[cold]
    pub(crate) fn end(&self, now: Instant, trace: Option<Trace>) -> Error {
        match self.deadline {
            Some(deadline) if deadline.at() <= now => expired(deadline, trace),
            _ => parent_ended(trace),
        }
    }

    /// Ready with the call's error once it must end; wakes the task then.
    pub(crate) fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        home: Option<&Home>,
        trace: impl FnOnce() -> Option<Trace>,
    ) -> Poll<Error> {
        // tokio's timers stay pending once the inner service has used up the task's budget.
        if !has_budget_remaining() && self.has_ended(Instant::now()) {
            return Poll::Ready(self.end(Instant::now(), trace()));
        }
        if let Some(deadline) = self.deadline {
            let home = home.or(self.home.as_deref());
            match self.timer.poll(cx, deadline.at(), home) {
                Poll::Ready(Ok(())) => return Poll::Ready(expired(deadline, trace())),
                Poll::Ready(Err(NoRuntime)) => return Poll::Ready(without_runtime(trace())),
                Poll::Pending => {}
            }
        }
        match &mut self.served {
            Some(served) => served
                .wait
                .as_mut()
                .poll(cx)
                .map(|()| parent_ended(trace())),
            None => Poll::Pending,
        }
    }

    /// The error itself, or the expiry if the error is one under another code (CONTRACT D11).
    pub(crate) fn name(&self, error: Error, trace: Option<&Trace>) -> Error {
        let was_expiry = error.verdict().reason == Reason::DeadlineExceeded;
        match self.deadline {
            Some(deadline) if !was_expiry && error.is_deadline(deadline, trace, Instant::now()) => {
                named(error, deadline, trace.cloned())
            }
            _ => error,
        }
    }

    /// The expiry, if the response's status is one under another code.
    pub(super) fn said(
        &self,
        said: Option<(Verdict, Status)>,
        trace: Option<&Trace>,
    ) -> Option<Error> {
        let (verdict, status) = said?;
        let named = self.name(Error::answered(verdict, status), trace);
        (named.verdict().reason == Reason::DeadlineExceeded).then_some(named)
    }
}

#[cold]
fn expired(deadline: Deadline, trace: Option<Trace>) -> Error {
    let trace = trace.unwrap_or_default();
    let (phase, progress, last) = (trace.phase(), trace.progress(), trace.last_failure());
    Error::expired(deadline, phase, progress, last).given_up(GiveUp::Deadline, trace.attempts())
}

#[cold]
fn named(error: Error, deadline: Deadline, trace: Option<Trace>) -> Error {
    let trace = trace.unwrap_or_default();
    let (phase, progress, last) = (trace.phase(), trace.progress(), trace.last_failure());
    let expiry = error.into_expiry(deadline, phase, progress, last);
    expiry.given_up(GiveUp::Deadline, trace.attempts())
}

#[cold]
fn without_runtime(trace: Option<Trace>) -> Error {
    Error::without_runtime(trace.unwrap_or_default().progress())
}

#[cold]
fn parent_ended(trace: Option<Trace>) -> Error {
    let trace = trace.unwrap_or_default();
    let (phase, progress, last) = (trace.phase(), trace.progress(), trace.last_failure());
    Error::parent_ended(phase, progress, last).given_up(GiveUp::Cancelled, trace.attempts())
}
