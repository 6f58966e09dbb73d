use std::collections::VecDeque;

use super::pace::{Nanos, Pace};

/// Promises of places ahead of the line, made because other callers did not return.
///
/// Their times are not a period apart. Promises with close times share one entry, so that there are
/// at most seven entries for any number of promises.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    pub(super) groups: VecDeque<Group>,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// No promise of the group is later than this.
    last: Nanos,
    count: u64,
}

impl Ahead {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The number of promises that may be in the future; the others are late.
    pub(super) fn to_come(&self, now: Nanos) -> u64 {
        let late = self.groups.iter().take_while(|group| group.last <= now);
        self.count - late.map(|group| group.count).sum::<u64>()
    }

    /// The time of the first group's last promise: at or shortly after that of the first promise.
    pub(super) fn first(&self) -> Option<Nanos> {
        self.groups.front().map(|group| group.last)
    }

    pub(super) fn add(&mut self, pace: &Pace, at: Nanos) {
        self.count += 1;
        if let Some(back) = self.groups.back_mut().filter(|back| at <= back.last) {
            back.count += 1;
            return;
        }
        // A group spans as long as a promise stands.
        let width = pace.stands.max(1);
        let last = at.div_ceil(width).saturating_mul(width);
        self.groups.push_back(Group { last, count: 1 });
    }

    /// Takes one promise of the first group.
    pub(super) fn take(&mut self) {
        let Some(front) = self.groups.front_mut() else {
            return;
        };
        front.count -= 1;
        self.count -= 1;
        if front.count == 0 {
            self.groups.pop_front();
        }
        self.give_back();
    }

    /// Drops promises that have lapsed, and returns their number.
    pub(super) fn lapse(&mut self, pace: &Pace, now: Nanos) -> u64 {
        let mut lapsed = 0;
        while let Some(front) = self.groups.front() {
            if now <= front.last.saturating_add(pace.stands) {
                break;
            }
            lapsed += front.count;
            self.groups.pop_front();
        }
        self.count -= lapsed;
        self.give_back();
        lapsed
    }

    /// Frees the memory: an attacker can create any number of keys.
    fn give_back(&mut self) {
        if self.groups.is_empty() && self.groups.capacity() > 0 {
            self.groups = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::rate_limit::Quota;

    #[test]
    fn promises_stand_as_long_as_was_said_and_at_most_twice_as_long() {
        let quota = Quota::every(Duration::from_millis(1)).unwrap();
        let pace = Pace::new(quota, Duration::from_millis(250));
        for at in (0..5_000).map(|step| 1_000_000_000 + step * 1_234_567) {
            let mut ahead = Ahead::default();
            ahead.add(&pace, at);
            assert_eq!(ahead.lapse(&pace, at + pace.stands), 0);
            assert_eq!(ahead.lapse(&pace, at + pace.stands * 2 + 1), 1);
            assert!(ahead.is_empty());
        }
    }
}
