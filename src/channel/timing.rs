//! When a call of a channel ends.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::errors::failed;
use crate::call::Deadline;
use crate::classify::{Progress, Reason, TransportError, Verdict};
use crate::grpc::Code;
use crate::kernel::timer::{Home, Timer};
use crate::report::SharedError;

/// A deadline, and what polls the call when it passes.
pub(crate) struct Deadlined {
    deadline: Deadline,
    clock: Clock,
}

/// What polls the call when its deadline passes.
enum Clock {
    /// A layer above.
    Above,
    /// A timer of this runtime, made when the call has to wait.
    Later(Home),
    Timer(Timer),
}

impl Deadlined {
    pub(crate) fn new(deadline: Deadline, home: &Home) -> Self {
        let clock = Clock::Timer(home.timer(deadline.at()));
        Self { deadline, clock }
    }

    /// One whose timer is made when it is polled: most answers end before that.
    pub(crate) fn later(deadline: Deadline, home: &Home) -> Self {
        let clock = Clock::Later(home.clone());
        Self { deadline, clock }
    }

    /// A layer above polls the call at the deadline.
    pub(crate) fn timed_above(deadline: Deadline) -> Self {
        let clock = Clock::Above;
        Self { deadline, clock }
    }

    /// The call ends at another time; whether that is so.
    #[cold]
    pub(crate) fn move_to(&mut self, deadline: Deadline) -> bool {
        let is_moved = self.deadline != deadline;
        if is_moved {
            self.deadline = deadline;
            if let Clock::Timer(timer) = &mut self.clock {
                timer.reset(deadline.at());
            }
        }
        is_moved
    }

    /// Ready once it has passed. Without a runtime to wake the call, it counts as passed at once
    /// rather than never (CONTRACT D13).
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Clock::Later(home) = &self.clock {
            self.clock = Clock::Timer(home.timer(self.deadline.at()));
        }
        if let Clock::Timer(timer) = &mut self.clock {
            return timer.poll(cx).map(|_| ());
        }
        if self.has_passed() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Whether it has passed, for a body that is always ready and never lets a timer run. A layer
    /// above sees to that itself.
    pub(crate) fn has_passed_unseen(&self) -> bool {
        !matches!(self.clock, Clock::Above) && self.has_passed()
    }

    fn has_passed(&self) -> bool {
        self.deadline.at() <= Instant::now()
    }

    /// It passed before the request was sent; with why no connection was ready.
    pub(crate) fn expired_in_queue(&self, last: Option<SharedError>) -> TransportError {
        let phase = "waiting for a connection to become ready";
        self.expired(Progress::NotSent, phase, None, last)
    }

    /// It passed before the response began.
    pub(crate) fn expired_at(&self, endpoint: Option<Arc<str>>) -> TransportError {
        self.expired(
            Progress::Reached,
            "waiting for the response",
            endpoint,
            None,
        )
    }

    /// It passed before the response ended.
    pub(crate) fn expired_during_answer(&self, endpoint: Arc<str>) -> TransportError {
        let phase = "reading the response";
        self.expired(Progress::Reached, phase, Some(endpoint), None)
    }

    fn expired(
        &self,
        progress: Progress,
        phase: &str,
        endpoint: Option<Arc<str>>,
        last: Option<SharedError>,
    ) -> TransportError {
        let timeout: Duration = self.deadline.timeout();
        let code = Code::DeadlineExceeded;
        // A layer above that knows the deadline says whose end it is.
        let verdict = Verdict::new(progress, code, Reason::TransportTimedOut);
        let message = format!("the deadline of {timeout:?} passed while {phase}");
        failed(verdict, endpoint, message, last)
    }
}

impl fmt::Debug for Deadlined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deadlined").field(&self.deadline).finish()
    }
}
