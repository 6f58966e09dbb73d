use std::task::{Context, Poll};

use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::call::{Deadline, Served};
use crate::grpc::{Code, Status};
use crate::kernel::timer::{NoRuntime, Timer};

/// One call in hand; when it is dropped, the call is over.
#[derive(Debug)]
pub(super) struct Watch {
    served: Served,
    _over: DropGuard,
    until: Option<(Deadline, Timer)>,
}

/// What became of a step of the handler.
pub(super) enum Step<T> {
    Done(T),
    /// Its time is up, and this is the answer.
    Expired(Status),
}

impl Watch {
    pub(super) fn new(served: Served, over: DropGuard, until: Option<(Deadline, Timer)>) -> Self {
        Self {
            served,
            _over: over,
            until,
        }
    }

    /// Runs one step of the handler, unless its time is up: then it is not even begun.
    pub(super) fn step<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Step<T>> {
        let is_late = |deadline: &Deadline| deadline.remaining(Instant::now()).is_zero();
        if let Some((deadline, _)) = self.until.as_ref().filter(|(it, _)| is_late(it)) {
            return Poll::Ready(Step::Expired(expired(*deadline)));
        }
        if let Poll::Ready(done) = self.served.step(|| step(cx)) {
            return Poll::Ready(Step::Done(done));
        }
        match &mut self.until {
            Some((deadline, timer)) => timer.poll(cx).map(|passed| {
                Step::Expired(match passed {
                    Ok(()) => expired(*deadline),
                    Err(no_runtime) => without_runtime(no_runtime),
                })
            }),
            None => Poll::Pending,
        }
    }
}

/// CONTRACT D13.
fn without_runtime(no_runtime: NoRuntime) -> Status {
    Status::new(Code::Internal, no_runtime.to_string())
}

fn expired(deadline: Deadline) -> Status {
    let timeout = deadline.timeout();
    let message = format!("the caller's deadline of {timeout:?} passed; the handler was stopped");
    Status::new(Code::DeadlineExceeded, message)
}
