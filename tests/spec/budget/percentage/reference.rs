//! The budget once more, slowly: it keeps every call and every attempt.

use std::time::Duration;

/// An attempt costs this, a call pays its percentage in thousandths.
const ATTEMPT: u64 = 100_000;

#[derive(Debug)]
pub(super) struct Reference {
    pub(super) share: u64,
    pub(super) window: Duration,
    pub(super) floor: u32,
    calls: Vec<Call>,
    attempts: Vec<Attempt>,
}

#[derive(Debug)]
struct Call {
    at: Duration,
    left: u64,
}

#[derive(Debug)]
struct Attempt {
    at: Duration,
    given_back: bool,
    /// How much of which calls; nothing if the floor granted it.
    paid: Vec<(usize, u64)>,
}

impl Reference {
    pub(super) fn new(share: u64, window: Duration, floor: u32) -> Self {
        Self {
            share,
            window,
            floor,
            calls: Vec::new(),
            attempts: Vec::new(),
        }
    }

    pub(super) fn call(&mut self, at: Duration) {
        let left = self.share;
        self.calls.push(Call { at, left });
    }

    /// Whether an attempt may go, which is then the last one.
    pub(super) fn ask(&mut self, at: Duration) -> bool {
        let paid = match self.paid(at) {
            Some(paid) => paid,
            None if self.floor_grants(at) => Vec::new(),
            None => return false,
        };
        for (call, part) in &paid {
            self.calls[*call].left -= part;
        }
        self.attempts.push(Attempt {
            at,
            given_back: false,
            paid,
        });
        true
    }

    pub(super) fn give_back(&mut self, attempt: usize) {
        let attempt = &mut self.attempts[attempt];
        attempt.given_back = true;
        for (call, part) in &attempt.paid {
            self.calls[*call].left += part;
        }
    }

    /// The calls that pay for an attempt, those made first before the others.
    fn paid(&self, at: Duration) -> Option<Vec<(usize, u64)>> {
        let slot = |time: Duration| time.as_nanos() / (self.window.as_nanos() / 20);
        let mut due = ATTEMPT;
        let mut paid = Vec::new();
        for (number, call) in self.calls.iter().enumerate() {
            if slot(at) - slot(call.at) < 20 {
                let part = call.left.min(due);
                due -= part;
                paid.push((number, part));
            }
        }
        (due == 0).then_some(paid)
    }

    fn floor_grants(&self, at: Duration) -> bool {
        let by_floor = |attempt: &&Attempt| attempt.paid.is_empty() && !attempt.given_back;
        let last = self.attempts.iter().rev().find(by_floor);
        let interval = |floor| Duration::from_nanos(1_000_000_000_u64.div_ceil(floor));
        self.floor > 0 && last.is_none_or(|last| at >= last.at + interval(u64::from(self.floor)))
    }

    /// CONTRACT T10, of every span of time that an attempt begins and one ends: attempts <= p % of the
    /// calls in it and in the window before + floor * length + 1. No word of slots.
    pub(super) fn assert_law(&self) {
        let second = Duration::from_secs(1).as_nanos();
        let went: Vec<Duration> = self
            .attempts
            .iter()
            .filter(|attempt| !attempt.given_back)
            .map(|attempt| attempt.at)
            .collect();
        for (first, start) in went.iter().enumerate() {
            for (count, end) in went[first..].iter().enumerate() {
                let pays = |call: &&Call| call.at + self.window > *start && call.at <= *end;
                let calls = self.calls.iter().filter(pays).count() as u128;
                let floor = u128::from(self.floor) * end.abs_diff(*start).as_nanos()
                    + if self.floor > 0 { second } else { 0 };
                let attempt = u128::from(ATTEMPT);
                let paid = u128::from(self.share) * calls * second + floor * attempt;
                assert!(
                    (count as u128 + 1) * attempt * second <= paid,
                    "{} attempts from {start:?} to {end:?}, {calls} calls: {self:?}",
                    count + 1
                );
            }
        }
    }
}
