use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::call::Deadline;
use crate::classify::{Reason, Verdict};
use crate::error::{Error, GiveUp};
use crate::grpc::{Code, Status};
use crate::report::Trace;

/// The deadline of one call with its timer, which moves from the future into the body.
#[derive(Debug)]
pub(super) struct Bound {
    deadline: Deadline,
    trace: Trace,
    passed: bool,
    sleep: Pin<Box<Sleep>>,
}

impl Bound {
    pub(super) fn new(deadline: Deadline, trace: Trace, now: Instant) -> Self {
        Self {
            deadline,
            trace,
            passed: deadline.remaining(now).is_zero(),
            sleep: Box::pin(sleep_until(deadline.at())),
        }
    }

    /// Whether the deadline had passed before the call began.
    pub(super) fn has_passed(&self) -> bool {
        self.passed
    }

    pub(super) fn remaining(&self) -> Duration {
        self.deadline.remaining(Instant::now())
    }

    /// Wakes the task when the deadline passes, with the error of it.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        self.sleep.as_mut().poll(cx).map(|()| self.expired())
    }

    pub(super) fn expired(&self) -> Error {
        let last = self.trace.last_failure();
        let (phase, progress) = (self.trace.phase(), self.trace.progress());
        Error::expired(self.deadline, phase, progress, last)
            .given_up(GiveUp::Deadline, self.trace.attempts())
    }

    /// The error as it is, or the expiry that it is by another name (CONTRACT D11).
    pub(super) fn name(&self, error: Error) -> Error {
        let was_expiry = error.verdict().reason == Reason::DeadlineExceeded;
        if was_expiry || !Deadline::is_expiry(error.code(), self.remaining()) {
            return error;
        }
        // What failed before says more than another clock's word for the same instant.
        if self.trace.last_failure().is_none() {
            self.trace.failed(Arc::new(error));
        }
        self.expired()
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
