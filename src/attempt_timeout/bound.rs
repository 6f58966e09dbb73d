use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::call::Deadline;
use crate::classify::{Progress, Verdict};
use crate::error::Error;
use crate::grpc::Status;
use crate::report::{Phase, Trace};
use crate::timer::{NoRuntime, Timer};

/// The end of one attempt with its timer, which moves from the future into the body where that is
/// bounded too.
#[derive(Debug)]
pub(crate) struct Bound {
    end: Deadline,
    trace: Option<Trace>,
    until_first_message: bool,
    timer: Timer,
}

impl Bound {
    pub(super) fn new(
        end: Deadline,
        timer: Timer,
        trace: Option<Trace>,
        until_first_message: bool,
    ) -> Self {
        Self {
            end,
            trace,
            until_first_message,
            timer,
        }
    }

    pub(super) fn covers_first_message(&self) -> bool {
        self.until_first_message
    }

    /// Wakes the task when the time is over.
    pub(super) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoRuntime>> {
        // A timer has nothing to say once the inner service used up the task's budget (tokio::task::coop).
        if self.remaining().is_zero() {
            return Poll::Ready(Ok(()));
        }
        self.timer.poll(cx)
    }

    /// The error of it, for an attempt that got so far. `otherwise` is the phase to
    /// name where no trace is kept.
    pub(super) fn expired(
        &self,
        otherwise: Phase,
        progress: Progress,
        cause: Option<Error>,
    ) -> Error {
        let phase = self.trace.as_ref().map_or(otherwise, Trace::phase);
        let cause = cause.map(|error| Arc::new(error) as _);
        Error::attempt_timed_out(self.end.timeout(), phase, progress, cause)
    }

    /// The error as it is, or the attempt's end by another name: the clocks of the transport, the server
    /// and the layers below end it at the same time.
    pub(super) fn name(&self, error: Error, otherwise: Phase) -> Error {
        let verdict = error.verdict();
        if !self.is_end(&verdict) {
            return error;
        }
        let progress = match verdict.progress {
            Progress::Answered => Progress::Reached,
            progress => progress,
        };
        self.expired(otherwise, progress, Some(error))
    }

    /// The same for what the server said.
    pub(super) fn said(
        &self,
        said: Option<(Verdict, Status)>,
        otherwise: Phase,
    ) -> Result<(), Error> {
        match said {
            Some((verdict, status)) if self.is_end(&verdict) => {
                Err(self.name(Error::answered(verdict, status), otherwise))
            }
            _ => Ok(()),
        }
    }

    /// Whoever gives a hint has spoken for itself.
    fn is_end(&self, verdict: &Verdict) -> bool {
        // A short attempt is not near its end from its beginning.
        let is_near = self.remaining() <= self.end.timeout() / 2;
        let is_expiry = Deadline::is_expiry(verdict.code, self.remaining());
        verdict.hint.is_none() && is_near && is_expiry
    }

    fn remaining(&self) -> Duration {
        self.end.remaining(Instant::now())
    }
}
