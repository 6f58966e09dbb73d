use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::body::LossNotice;
use crate::call::Deadline;
use crate::classify::{Progress, Verdict};
use crate::error::Error;
use crate::grpc::Status;
use crate::kernel::timer::{NoRuntime, Timer};
use crate::report::{Phase, Trace};

use super::policy::Bounds;

/// Bounds one attempt: the local timer that ends it, and the recognition of its end if the server,
/// which received the timeout, ends it.
#[derive(Debug)]
pub(crate) struct AttemptTimer {
    end: Deadline,
    trace: Option<Trace>,
    until_first_message: bool,
    /// `None` once the response has come far enough that the timeout no longer applies.
    timer: Option<Timer>,
    /// Whether `grpc-timeout` holds the end of the attempt.
    is_told: bool,
    /// Signals during the attempt that no other can follow. Set only for a call with a deadline,
    /// which then ends the attempt instead (CONTRACT D12).
    loss: Option<LossNotice>,
}

impl AttemptTimer {
    pub(super) fn new(
        end: Deadline,
        timer: Timer,
        bounds: Bounds,
        trace: Option<Trace>,
        loss: Option<LossNotice>,
    ) -> Self {
        Self {
            end,
            trace,
            until_first_message: bounds.until_first_message,
            timer: Some(timer),
            is_told: bounds.is_told,
            loss,
        }
    }

    /// Whether the timer runs until the first message.
    pub(super) fn covers_first_message(&self) -> bool {
        self.until_first_message
    }

    /// Called with the head of a response that goes on. Returns the rest of the bound.
    pub(super) fn answered(mut self) -> Option<Self> {
        if !self.until_first_message {
            self.timer = None;
        }
        self.is_needed().then_some(self)
    }

    /// Called with the first frame of the response. Returns the rest of the bound.
    pub(super) fn begun(mut self) -> Option<Self> {
        self.timer = None;
        self.is_needed().then_some(self)
    }

    fn is_needed(&self) -> bool {
        self.is_told || self.timer.is_some()
    }

    /// Ready once the timeout has passed; wakes the task then.
    pub(super) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoRuntime>> {
        let is_over = self.remaining().is_zero();
        let Some(timer) = &mut self.timer else {
            return Poll::Pending;
        };
        // tokio's timers stay pending once the inner service has used up the task's budget
        // (tokio::task::coop).
        let passed = if is_over {
            Ok(())
        } else {
            ready!(timer.poll(cx))
        };
        if self.loss.as_ref().is_some_and(LossNotice::is_given) {
            self.timer = None;
            return Poll::Pending;
        }
        Poll::Ready(passed)
    }

    /// The error of an attempt that timed out after this progress. `otherwise` is the phase if no
    /// trace is kept.
    pub(super) fn expired(&self, otherwise: Phase, progress: Progress) -> Error {
        let phase = self.trace.as_ref().map_or(otherwise, Trace::phase);
        Error::attempt_timed_out(self.end.timeout(), phase, progress, None)
    }

    /// The error itself, or the attempt's end under another code: the clocks of the transport, the
    /// server and the layers below end the attempt at about one time (CONTRACT D11).
    pub(super) fn name(&self, error: Error, otherwise: Phase) -> Error {
        let is_end = self.is_told && error.is_end(self.end, self.end.timeout(), Instant::now());
        if !is_end {
            return error;
        }
        let verdict = error.verdict();
        let progress = match verdict.progress {
            Progress::Answered => Progress::Reached,
            progress => progress,
        };
        let phase = self.trace.as_ref().map_or(otherwise, Trace::phase);
        let phase = error.phase_of_channel(phase);
        let timeout = self.end.timeout();
        // The server ended it, and the error states that, because the local timer did not.
        let named = if self.timer.is_none() {
            Error::attempt_ended_by_peer(timeout, phase, progress, Arc::new(error))
        } else {
            Error::attempt_timed_out(timeout, phase, progress, Some(Arc::new(error)))
        };
        // A hint of the server still applies.
        named.hinted(verdict.hint)
    }

    /// Like [`name`](Self::name), for a status from the server.
    pub(super) fn said(
        &self,
        said: Option<(Verdict, Status)>,
        otherwise: Phase,
    ) -> Result<(), Error> {
        let Some((verdict, status)) = said else {
            return Ok(());
        };
        let is_end = |named: &Error| named.cause().is_some();
        match self.name(Error::answered(verdict, status), otherwise) {
            named if is_end(&named) => Err(named),
            _ => Ok(()),
        }
    }

    fn remaining(&self) -> Duration {
        self.end.remaining(Instant::now())
    }
}
