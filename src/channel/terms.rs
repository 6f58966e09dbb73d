use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::core::Core;
use super::timing::Deadlined;
use crate::call::{AttemptEnd, CallOptions, Deadline, Earlier};
use crate::report::Trace;

/// What is agreed for a call.
pub(super) struct Terms {
    pub(super) deadline: Option<Deadline>,
    /// A layer above has a timer for the deadline.
    pub(super) is_timed: bool,
    /// It waits for a connection even if none can be made.
    pub(super) is_patient: bool,
    pub(super) wishes: Option<Box<Wishes>>,
    /// It may be repeated if it fails.
    pub(super) may_repeat: bool,
    /// When a layer above ends this attempt of the call.
    pub(super) attempt: Option<Arc<AttemptEnd>>,
    /// Where the layers above write what happens to it.
    pub(super) trace: Option<Trace>,
}

impl Terms {
    /// The call has no connection yet; whether it ends at another time meanwhile, because that is
    /// no part of its attempt (CONTRACT W2).
    pub(super) fn waits(&mut self, longest: Option<Duration>) -> bool {
        let apart = self.attempt.as_ref().filter(|it| !it.has_waits());
        let deadline = apart.map(|attempt| attempt.waits(longest));
        deadline.is_some_and(|deadline| self.end_at(deadline))
    }

    /// The call has a connection, so that its attempt begins; whether it ends at another time from
    /// now on.
    pub(super) fn begins(&mut self, now: Instant, longest: Option<Duration>) -> bool {
        let waiting = self.attempt.as_ref().filter(|it| it.deadline().is_none());
        let deadline = waiting.map(|attempt| attempt.begins(now, longest));
        deadline.is_some_and(|deadline| self.end_at(deadline))
    }

    fn end_at(&mut self, deadline: Option<Deadline>) -> bool {
        let is_moved = self.deadline != deadline;
        if is_moved {
            self.deadline = deadline;
            self.is_timed = false;
        }
        is_moved
    }

    /// The deadline of a call that did not have to wait yet.
    pub(super) fn deadlined(&self, core: &Core) -> Option<Deadlined> {
        let deadline = self.deadline?;
        Some(if self.is_timed {
            Deadlined::timed_above(deadline)
        } else {
            Deadlined::later(deadline, &core.shared.home)
        })
    }
}

/// What few calls want of their endpoint.
#[derive(Default)]
pub(super) struct Wishes {
    /// What earlier attempts of the call have shown.
    pub(super) earlier: Option<Arc<Earlier>>,
    /// The caller's choices among them.
    pub(super) options: Option<Arc<CallOptions>>,
}
