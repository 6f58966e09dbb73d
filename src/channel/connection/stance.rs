//! Whether a connection takes calls, and what keeps it from it.

use std::sync::atomic::{AtomicU8, Ordering};

/// One word, so that a call asks no more than before.
#[derive(Debug, Default)]
pub(super) struct Stance(AtomicU8);

const OPEN: u8 = 0;
/// It may be dead, and takes no call until it answers a PING (CONTRACT C22).
const SILENT: u8 = 1;
/// It takes no call any more.
const RETIRED: u8 = 2;

impl Stance {
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) == OPEN
    }

    pub(super) fn is_silent(&self) -> bool {
        self.0.load(Ordering::Acquire) == SILENT
    }

    pub(super) fn is_retired(&self) -> bool {
        self.0.load(Ordering::Acquire) == RETIRED
    }

    /// Whether this was the call that retired it.
    pub(super) fn retire(&self) -> bool {
        self.0.swap(RETIRED, Ordering::AcqRel) != RETIRED
    }

    /// It takes no call until it answers; whether it took any.
    pub(super) fn doubt(&self) -> bool {
        self.turn(OPEN, SILENT)
    }

    /// It has answered.
    pub(super) fn trust(&self) {
        self.turn(SILENT, OPEN);
    }

    fn turn(&self, from: u8, to: u8) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.0.compare_exchange(from, to, success, failure).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT C22, C5
    #[test]
    fn a_connection_that_was_retired_takes_no_call_whatever_it_answers() {
        let stance = Stance::default();
        assert!(stance.doubt());
        assert!(stance.retire());
        stance.trust();
        assert!(stance.is_retired() && !stance.is_open());
        assert!(!stance.doubt(), "it took none");
        assert!(stance.is_retired() && !stance.is_silent());
        assert!(!stance.retire(), "once");
    }

    // CONTRACT C22
    #[test]
    fn a_connection_that_may_be_dead_is_open_again_once_it_answers() {
        let stance = Stance::default();
        assert!(stance.doubt());
        assert!(!stance.doubt(), "it took none any more");
        assert!(stance.is_silent() && !stance.is_open());
        stance.trust();
        assert!(stance.is_open());
    }
}
