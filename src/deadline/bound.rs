use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::call::{Deadline, Served};
use crate::classify::{Reason, Verdict};
use crate::error::{Error, GiveUp};
use crate::grpc::{Code, Status};
use crate::report::Trace;

/// What ends one call: its deadline, and the end of the call that it is made for. Whoever holds it has
/// the timer.
#[derive(Debug)]
pub(super) struct Bound {
    trace: Trace,
    deadline: Option<Deadline>,
    served: Option<Ending>,
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

impl Bound {
    pub(super) fn new(
        deadline: Option<Deadline>,
        served: Option<&Served>,
        trace: Trace,
    ) -> Self {
        Self {
            trace,
            deadline,
            served: served.map(|served| Ending::new(served.ending())),
        }
    }

    fn remaining(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.remaining(Instant::now()))
    }

    /// The end, if it has come by now.
    pub(super) fn ended(&self, now: Instant) -> Option<Error> {
        if let Some(deadline) = self.deadline
            && deadline.at() <= now
        {
            return Some(self.expired(deadline));
        }
        let served = self.served.as_ref()?;
        served.over.is_cancelled().then(|| self.forsaken())
    }

    /// Wakes the task when the call must end, with the error of it; by this timer, which is made once a
    /// call waits.
    pub(super) fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        poll_timer: impl FnOnce(&mut Context<'_>, Instant) -> Poll<()>,
    ) -> Poll<Error> {
        // A timer has nothing to say once the inner service used up the task's budget (tokio::task::coop).
        if let Some(error) = self.ended(Instant::now()) {
            return Poll::Ready(error);
        }
        if let Some(deadline) = self.deadline
            && poll_timer(cx, deadline.at()).is_ready()
        {
            return Poll::Ready(self.expired(deadline));
        }
        match &mut self.served {
            Some(served) => served.wait.as_mut().poll(cx).map(|()| self.forsaken()),
            None => Poll::Pending,
        }
    }

    #[cold]
    fn expired(&self, deadline: Deadline) -> Error {
        let trace = &self.trace;
        Error::expired(deadline, trace.phase(), trace.progress(), trace.last_failure())
            .given_up(GiveUp::Deadline, trace.attempts())
    }

    #[cold]
    fn forsaken(&self) -> Error {
        let trace = &self.trace;
        Error::forsaken(trace.phase(), trace.progress(), trace.last_failure())
            .given_up(GiveUp::Cancelled, trace.attempts())
    }

    /// The error as it is, or the expiry that it is by another name (CONTRACT D11).
    pub(super) fn name(&self, error: Error) -> Error {
        let was_expiry = error.verdict().reason == Reason::DeadlineExceeded;
        let (Some(deadline), Some(remaining)) = (self.deadline, self.remaining()) else {
            return error;
        };
        if was_expiry || !Deadline::is_expiry(error.code(), remaining) {
            return error;
        }
        // What failed before says more than another clock's word for the same instant.
        if self.trace.last_failure().is_none() {
            self.trace.failed(Arc::new(error));
        }
        self.expired(deadline)
    }

    /// The expiry that a CANCELLED of the server's is, near the deadline.
    pub(super) fn cancelled(&self, verdict: Verdict, status: Status) -> Option<Error> {
        if verdict.code != Code::Cancelled {
            return None;
        }
        let named = self.name(Error::answered(verdict, status));
        (named.code() == Code::DeadlineExceeded).then_some(named)
    }
}
