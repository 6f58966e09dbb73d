use std::task::{Context, Poll};

use http::uri::PathAndQuery;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::call::{Deadline, ParentCall};
use crate::events;
use crate::grpc::{Code, Status};
use crate::kernel::timer::{NoRuntime, Timer};
use crate::methods::method_of;

/// A call that is being served. The call ends when this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    served: ParentCall,
    _over: DropGuard,
    until: Option<Until>,
}

/// The deadline of the handler.
#[derive(Debug)]
pub(super) struct Until {
    pub(super) deadline: Deadline,
    pub(super) timer: Timer,
    /// The path of the request, if an event needs it.
    pub(super) path: Option<PathAndQuery>,
}

pub(super) enum Step<T> {
    Done(T),
    /// The deadline has passed; this is the answer.
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

    /// Polls the handler once, unless its deadline has passed.
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
