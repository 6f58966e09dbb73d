use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Lets one call at a time to an endpoint whose ejection is over (CONTRACT O3). Times are in
/// nanoseconds since the channel's epoch.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Since when it is open, plus one; 0: it is closed.
    open_since: AtomicU64,
    /// When the call that went through began, plus one; 0: none did.
    taken_at: AtomicU64,
    verdict: AtomicU8,
}

/// So long a call that may not be repeated leaves the probe to others, and so long a call that
/// probes may take before another one does.
const PATIENCE: u64 = 10_000_000_000;
/// A call has decided.
const DECIDED: u64 = u64::MAX;

const PASSED: u8 = 1;
const FAILED: u8 = 2;

impl Gate {
    pub(super) fn open(&self, now: u64) {
        self.verdict.store(0, Ordering::Release);
        self.taken_at.store(0, Ordering::Release);
        self.open_since.store(now + 1, Ordering::Release);
    }

    pub(super) fn close(&self) {
        self.open_since.store(0, Ordering::Release);
    }

    /// Whether the call that begins now is the one that probes. `may_repeat`: it is declared, so
    /// that a layer above sends it elsewhere if it fails.
    pub(super) fn take(&self, now: u64, may_repeat: bool) -> bool {
        let open = self.open_since.load(Ordering::Acquire);
        let taken = self.taken_at.load(Ordering::Acquire);
        let has_waited = |since: u64| now.saturating_add(1) >= since.saturating_add(PATIENCE);
        if open == 0 || !(may_repeat || has_waited(open)) {
            return false;
        }
        let is_free = taken == 0 || taken != DECIDED && has_waited(taken);
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        let at = &self.taken_at;
        is_free
            && at
                .compare_exchange(taken, now + 1, success, failure)
                .is_ok()
    }

    /// The call that began then says nothing: the next one probes.
    pub(super) fn give_back(&self, start: u64) {
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        let _ = self
            .taken_at
            .compare_exchange(start + 1, 0, success, failure);
    }

    /// The call that began then decides; whether its word is still wanted.
    pub(super) fn decide(&self, start: u64, has_passed: bool) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        let taken = &self.taken_at;
        let is_wanted = taken
            .compare_exchange(start + 1, DECIDED, success, failure)
            .is_ok();
        if is_wanted {
            let verdict = if has_passed { PASSED } else { FAILED };
            self.verdict.store(verdict, Ordering::Release);
        }
        is_wanted
    }

    /// Takes the word of the call that probed.
    pub(super) fn verdict(&self) -> Option<bool> {
        match self.verdict.swap(0, Ordering::AcqRel) {
            PASSED => Some(true),
            FAILED => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    // CONTRACT O3
    #[test]
    fn one_declared_call_goes_through_and_an_undeclared_one_after_ten_seconds() {
        let gate = Gate::default();
        assert!(!gate.take(S, true), "it is closed");
        gate.open(S);
        assert!(!gate.take(S, false));
        assert!(!gate.take(11 * S - 1, false));
        assert!(gate.take(11 * S, false));
        assert!(!gate.take(11 * S, true), "one at a time");
        gate.open(20 * S);
        assert!(gate.take(20 * S, true));
        assert!(!gate.take(20 * S, true));
        assert!(!gate.take(30 * S - 1, true));
        assert!(gate.take(30 * S, true), "the first one hangs");
        gate.close();
        assert!(!gate.take(50 * S, true));
    }

    // CONTRACT O3
    #[test]
    fn the_call_that_went_through_decides_once_and_no_other_call_does() {
        let gate = Gate::default();
        gate.open(S);
        assert!(gate.take(2 * S, true));
        assert!(!gate.decide(S, true));
        assert_eq!(gate.verdict(), None);
        assert!(gate.decide(2 * S, false));
        assert!(!gate.decide(2 * S, true), "it has decided");
        assert!(!gate.take(100 * S, true));
        assert_eq!(gate.verdict(), Some(false));
        assert_eq!(gate.verdict(), None);
        gate.open(200 * S);
        assert!(gate.take(200 * S, true));
        gate.give_back(2 * S);
        assert!(!gate.take(201 * S, true), "it was another's to give back");
        gate.give_back(200 * S);
        assert!(gate.take(201 * S, true));
        assert!(gate.decide(201 * S, true));
        assert_eq!(gate.verdict(), Some(true));
        gate.open(300 * S);
        assert!(gate.take(300 * S, true) && gate.decide(300 * S, false));
        gate.open(400 * S);
        assert_eq!(gate.verdict(), None, "it was of the probe before");
    }
}
