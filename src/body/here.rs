//! Which of our own polls this thread is in, so that a body can tell who polls it.

use std::cell::Cell;
use std::task::Context;

use super::waker::CAPTURING;

thread_local! {
    /// How many attempts of calls are polled now, one inside the other.
    static CALLS: Cell<u32> = const { Cell::new(0) };
    /// In which of them a request is captured now, counted from 1.
    static CAPTURES_IN: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, what is polled on this thread belongs to an attempt of a call. A transport that
/// sends requests in a task of its own is not polled then.
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

/// Whether an attempt of a call is polled now.
#[inline]
pub(super) fn is_in_call() -> bool {
    CALLS.get() > 0
}

/// While it lives, a request is captured. A call that the request's own stream makes meanwhile is
/// no part of that.
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

/// Whether a layer of ours looks at a body to keep it, rather than a reader that sends it.
#[inline]
pub(super) fn is_capturing(cx: &Context<'_>) -> bool {
    cx.waker().will_wake(&CAPTURING) && CAPTURES_IN.get() == CALLS.get().wrapping_add(1)
}
