use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::call::{Deadline, Served};
use crate::classify::{Reason, Verdict};
use crate::error::{Error, GiveUp};
use crate::grpc::{Code, Status};
use crate::report::Trace;

/// What ends one call: its deadline, whose timer moves from the future into the body, and the end of
/// the call that it is made for.
#[derive(Debug)]
pub(super) struct Bound {
    trace: Trace,
    deadline: Option<Timer>,
    served: Option<Ending>,
}

#[derive(Debug)]
struct Ending {
    over: CancellationToken,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
}

#[derive(Debug)]
struct Timer {
    deadline: Deadline,
    sleep: Pin<Box<Sleep>>,
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
    pub(super) fn new(deadline: Option<Deadline>, served: Option<&Served>, trace: Trace) -> Self {
        Self {
            trace,
            deadline: deadline.map(|deadline| Timer {
                deadline,
                sleep: Box::pin(sleep_until(deadline.at())),
            }),
            served: served.map(|served| Ending::new(served.ending())),
        }
    }

    fn remaining(&self) -> Option<Duration> {
        let timer = self.deadline.as_ref()?;
        Some(timer.deadline.remaining(Instant::now()))
    }

    /// The end, if it has come by now.
    pub(super) fn ended(&self) -> Option<Error> {
        if let Some(timer) = &self.deadline
            && timer.deadline.remaining(Instant::now()).is_zero()
        {
            return Some(self.expired(timer.deadline));
        }
        let served = self.served.as_ref()?;
        served.over.is_cancelled().then(|| self.forsaken())
    }

    /// Wakes the task when the call must end, with the error of it.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        // A timer has nothing to say once the inner service used up the task's budget (tokio::task::coop).
        if let Some(error) = self.ended() {
            return Poll::Ready(error);
        }
        if let Some(timer) = &mut self.deadline
            && timer.sleep.as_mut().poll(cx).is_ready()
        {
            let deadline = timer.deadline;
            return Poll::Ready(self.expired(deadline));
        }
        match &mut self.served {
            Some(served) => served.wait.as_mut().poll(cx).map(|()| self.forsaken()),
            None => Poll::Pending,
        }
    }

    fn expired(&self, deadline: Deadline) -> Error {
        let last = self.trace.last_failure();
        let (phase, progress) = (self.trace.phase(), self.trace.progress());
        Error::expired(deadline, phase, progress, last)
            .given_up(GiveUp::Deadline, self.trace.attempts())
    }

    fn forsaken(&self) -> Error {
        let last = self.trace.last_failure();
        let (phase, progress) = (self.trace.phase(), self.trace.progress());
        Error::forsaken(phase, progress, last).given_up(GiveUp::Cancelled, self.trace.attempts())
    }

    /// The error as it is, or the expiry that it is by another name (CONTRACT D11).
    pub(super) fn name(&self, error: Error) -> Error {
        let was_expiry = error.verdict().reason == Reason::DeadlineExceeded;
        let (Some(timer), Some(remaining)) = (&self.deadline, self.remaining()) else {
            return error;
        };
        if was_expiry || !Deadline::is_expiry(error.code(), remaining) {
            return error;
        }
        // What failed before says more than another clock's word for the same instant.
        if self.trace.last_failure().is_none() {
            self.trace.failed(Arc::new(error));
        }
        self.expired(timer.deadline)
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
