use std::task::{Context, Poll};

use http::uri::PathAndQuery;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::call::{Deadline, ParentCall};
use crate::events;
use crate::grpc::{Code, Status};
use crate::kernel::timer::{NoRuntime, Timer};
use crate::methods::method_of;

/// One call in hand; when it is dropped, the call is over.
#[derive(Debug)]
pub(super) struct Watch {
    served: ParentCall,
    _over: DropGuard,
    until: Option<Until>,
}

/// When the handler is stopped.
#[derive(Debug)]
pub(super) struct Until {
    pub(super) deadline: Deadline,
    pub(super) timer: Timer,
    /// The path of its request, where an event names it.
    pub(super) path: Option<PathAndQuery>,
}

/// What became of a step of the handler.
pub(super) enum Step<T> {
    Done(T),
    /// Its time is up, and this is the answer.
    Expired(Status),
}

impl Watch {
    pub(super) fn new(served: ParentCall, over: DropGuard, until: Option<Until>) -> Self {
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
        let is_late = |it: &&Until| it.deadline.remaining(Instant::now()).is_zero();
        if let Some(until) = self.until.as_ref().filter(is_late) {
            return Poll::Ready(Step::Expired(until.expired()));
        }
        if let Poll::Ready(done) = self.served.step(|| step(cx)) {
            return Poll::Ready(Step::Done(done));
        }
        match &mut self.until {
            Some(until) => until.timer.poll(cx).map(|passed| {
                Step::Expired(match passed {
                    Ok(()) => until.expired(),
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

impl Until {
    #[cold]
    fn expired(&self) -> Status {
        let timeout = self.deadline.timeout();
        if let Some(path) = &self.path {
            events::server::handler_stopped(method_of(path.path()), timeout);
        }
        let message =
            format!("the caller's deadline of {timeout:?} passed; the handler was stopped");
        Status::new(Code::DeadlineExceeded, message)
    }
}
