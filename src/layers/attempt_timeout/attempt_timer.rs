use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use crate::call::AttemptEnd;
use crate::classify::{Progress, Verdict};
use crate::error::Error;
use crate::grpc::Status;
use crate::kernel::timer::{Home, NoRuntime, Timer};
use crate::report::{Phase, Trace};

/// Bounds one attempt: the local timer that ends it, and the recognition of its end if the server,
/// which received the timeout, ends it.
#[derive(Debug)]
pub(crate) struct AttemptTimer {
    end: Arc<AttemptEnd>,
    trace: Option<Trace>,
    until_first_message: bool,
    /// `None` once the response has come far enough that the timeout no longer applies.
    timer: Option<Clock>,
}

/// The timer for an end of the attempt.
#[derive(Debug)]
struct Clock {
    home: Home,
    at: Instant,
    timer: Timer,
}

impl Clock {
    fn new(home: Home, at: Instant) -> Self {
        let timer = home.timer(at);
        Self { home, at, timer }
    }

    /// The attempt ends later than it was to, because it has waited for a connection.
    fn set(&mut self, at: Instant) {
        if at != self.at {
            *self = Self::new(self.home.clone(), at);
        }
    }
}

impl AttemptTimer {
    pub(super) fn new(end: Arc<AttemptEnd>, home: &Home, until_first_message: bool) -> Self {
        let at = end.deadline().map(|end| end.at());
        Self {
            timer: at.map(|at| Clock::new(home.clone(), at)),
            end,
            trace: None,
            until_first_message,
        }
    }

    /// With what the layers above keep of the call.
    pub(super) fn with(self, trace: Option<Trace>) -> Self {
        Self { trace, ..self }
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
        self.end.is_told() || self.timer.is_some()
    }

    /// Ready once the timeout has passed; wakes the task then.
    pub(super) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoRuntime>> {
        let (Some(clock), Some(end)) = (&mut self.timer, self.end.deadline()) else {
            // While the attempt waits for a connection, its call is polled when it has one.
            return Poll::Pending;
        };
        clock.set(end.at());
        let is_over = end.remaining(Instant::now()).is_zero();
        // tokio's timers stay pending once the inner service has used up the task's budget
        // (tokio::task::coop).
        let passed = if is_over {
            Ok(())
        } else {
            ready!(clock.timer.poll(cx))
        };
        if self.end.is_lifted() {
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
        let (timeout, now) = (self.end.timeout(), Instant::now());
        let told = self.end.deadline().filter(|_| self.end.is_told());
        // Once the attempt may go on, what comes at the end of the call is that end.
        if self.end.is_past(now) || !told.is_some_and(|end| error.is_end(end, timeout, now)) {
            return error;
        }
        let verdict = error.verdict();
        let progress = match verdict.progress {
            Progress::Answered => Progress::Reached,
            progress => progress,
        };
        let phase = self.trace.as_ref().map_or(otherwise, Trace::phase);
        let phase = error.phase_of_channel(phase);
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
}
