//! Tracks the crate's own polls on this thread, so a body can recognise its poller.

use std::cell::Cell;
use std::task::Context;

use super::waker::CAPTURING;

thread_local! {
    /// How many attempts are being polled now, nested in each other.
    static CALLS: Cell<u32> = const { Cell::new(0) };
    /// In which of them a request is being captured now, counted from 1.
    static CAPTURES_IN: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, polls on this thread belong to an attempt of a call. A transport that sends
/// requests from its own task is polled outside of it.
pub(crate) struct InCall(());

impl InCall {
    #[inline]
    pub(crate) fn begin() -> Self {
        CALLS.set(CALLS.get().wrapping_add(1));
        Self(())
    }
}

impl Drop for InCall {
    #[inline]
    fn drop(&mut self) {
        CALLS.set(CALLS.get().wrapping_sub(1));
    }
}

/// Whether an attempt is being polled now.
#[inline]
pub(super) fn is_in_call() -> bool {
    CALLS.get() > 0
}

/// While it lives, a request is being captured. A call that the request's own stream makes
/// meanwhile is not part of the capture.
pub(super) struct Capturing {
    before: u32,
}

impl Capturing {
    #[inline]
    pub(super) fn begin() -> Self {
        let now = CALLS.get().wrapping_add(1);
        Self {
            before: CAPTURES_IN.replace(now),
        }
    }
}

impl Drop for Capturing {
    #[inline]
    fn drop(&mut self) {
        CAPTURES_IN.set(self.before);
    }
}

/// Whether this crate polls a body to keep it, rather than a reader that sends it.
#[inline]
pub(super) fn is_capturing(cx: &Context<'_>) -> bool {
    cx.waker().will_wake(&CAPTURING) && CAPTURES_IN.get() == CALLS.get().wrapping_add(1)
}
