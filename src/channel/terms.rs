use std::sync::Arc;

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
    /// What the caller chose.
    #[inline]
    pub(super) fn options(&self) -> &CallOptions {
        let wishes = self.wishes.as_deref();
        let options = wishes.and_then(|it| it.options.as_deref());
        options.unwrap_or(CallOptions::unset())
    }

    /// What earlier attempts of the call have shown.
    #[inline]
    pub(super) fn earlier(&self) -> &Earlier {
        let wishes = self.wishes.as_deref();
        let earlier = wishes.and_then(|it| it.earlier.as_deref());
        earlier.unwrap_or(Earlier::NONE)
    }

    /// The endpoint that the call names.
    pub(super) fn named(&self) -> Option<&str> {
        self.options().chosen_endpoint()
    }

    /// The call has no connection yet; whether it ends at another time meanwhile, because that is
    /// no part of its attempt (CONTRACT W2).
    pub(super) fn waits(&mut self) -> bool {
        let apart = self.attempt.as_ref().filter(|it| !it.has_waits());
        let deadline = apart.map(|attempt| attempt.waits());
        deadline.is_some_and(|deadline| self.end_at(deadline))
    }

    /// The call has a connection, so that its attempt begins; whether it ends at another time from
    /// now on.
    pub(super) fn begins(&mut self, now: Instant) -> bool {
        let waiting = self.attempt.as_ref().filter(|it| it.deadline().is_none());
        let deadline = waiting.map(|attempt| attempt.begins(now));
        deadline.is_some_and(|deadline| self.end_at(deadline))
    }

    /// The deadline has passed; whether it was the end of an attempt that goes on after all
    /// (CONTRACT D12).
    #[cold]
    pub(super) fn goes_on(&mut self) -> bool {
        let lifted = self.attempt.as_ref().and_then(|it| it.lifted());
        lifted.is_some_and(|deadline| self.end_at(Some(deadline)))
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
