//! How it went, to see that the weather was bad enough.

use std::ops::AddAssign;

use super::call::Declared;
use super::client::{Ended, Outcome};
use super::transport_word::Told;

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) calls: usize,
    pub(super) succeeded: usize,
    pub(super) dropped: usize,
    /// Sent again though undeclared, and successful.
    pub(super) saved: usize,
    /// The same after a server vouched that it had no effect.
    pub(super) vouched: usize,
    /// Declared, and sent again.
    pub(super) repeated: usize,
    /// Undeclared and failed; the peer has seen the last sending.
    pub(super) failed_seen: usize,
    /// It has not, and no type proves that: a slot never came, or the connection was lost on the
    /// way.
    pub(super) failed_unseen: usize,
}

impl Counts {
    pub(super) fn of(calls: &[Ended], was_seen: impl Fn(u32, usize) -> bool) -> Self {
        let mut counts = Self {
            calls: calls.len(),
            ..Self::default()
        };
        for call in calls {
            let has_succeeded = call.outcome == Outcome::Succeeded;
            let is_again = call.sent.len() > 1;
            let is_declared = call.call.declared != Declared::No;
            counts.succeeded += usize::from(has_succeeded);
            counts.dropped += usize::from(call.outcome == Outcome::Dropped);
            counts.saved += usize::from(is_again && has_succeeded && !is_declared);
            let is_saved = is_again && has_succeeded && !is_declared;
            counts.vouched += usize::from(is_saved && call.sent.contains(&Told::Vouched));
            counts.repeated += usize::from(is_again && is_declared);
            if call.outcome == Outcome::Failed && !is_declared {
                let last = call.sent.len().checked_sub(1);
                if last.is_some_and(|last| was_seen(call.call.number, last)) {
                    counts.failed_seen += 1;
                } else {
                    counts.failed_unseen += 1;
                }
            }
        }
        counts
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.succeeded += other.succeeded;
        self.dropped += other.dropped;
        self.saved += other.saved;
        self.vouched += other.vouched;
        self.repeated += other.repeated;
        self.failed_seen += other.failed_seen;
        self.failed_unseen += other.failed_unseen;
    }
}
