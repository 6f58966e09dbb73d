use std::sync::atomic::{AtomicU64, Ordering};

/// How many calls ended in the last ten seconds, and how many of them failed: in ten slots, which
/// threads update without a lock.
///
/// A slot is one word: its second in 16 bits, failures in 24, calls in 24.
#[derive(Debug, Default)]
pub(super) struct Window([AtomicU64; SLOTS]);

const SLOTS: usize = 10;
const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
/// By so many seconds a slot can be ahead of a call. One that seems to be further ahead has not
/// been used for hours.
const PAST: u64 = 60;
const SECOND_SHIFT: u32 = 2 * COUNT_BITS;

/// Calls that ended, and failed ones among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) calls: u32,
    pub(super) failures: u32,
}

fn second(millis: u32) -> (usize, u64) {
    let second = millis / 1_000;
    (second as usize % SLOTS, u64::from(second) & 0xffff)
}

impl Window {
    /// A call ended at this time.
    #[inline]
    pub(super) fn add(&self, millis: u32, is_failure: bool) {
        let (place, second) = second(millis);
        let Some(slot) = self.0.get(place) else {
            return;
        };
        let one = 1 | u64::from(is_failure) << COUNT_BITS;
        if slot.load(Ordering::Relaxed) >> SECOND_SHIFT == second {
            slot.fetch_add(one, Ordering::Relaxed);
        } else {
            Self::begin(slot, second, one);
        }
    }

    /// The first call of a second takes the slot over from the one of ten seconds before.
    #[cold]
    fn begin(slot: &AtomicU64, second: u64, one: u64) {
        let next = |word: u64| {
            let before = word >> SECOND_SHIFT;
            if before == second {
                return Some(word + one);
            }
            // The time of this call may be an earlier one: then it is not of these ten seconds.
            let is_used = word & COUNT != 0;
            let is_past = is_used && before.wrapping_sub(second) & 0xffff < PAST;
            (!is_past).then_some(second << SECOND_SHIFT | one)
        };
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    pub(super) fn sum(&self, millis: u32) -> Sum {
        let (_, now) = second(millis);
        let mut sum = Sum::default();
        for slot in &self.0 {
            let word = slot.load(Ordering::Relaxed);
            if now.wrapping_sub(word >> SECOND_SHIFT) & 0xffff < SLOTS as u64 {
                let count = |shift: u32| u32::try_from(word >> shift & COUNT).unwrap_or(0);
                sum.calls += count(0);
                sum.failures += count(COUNT_BITS);
            }
        }
        sum
    }

    pub(super) fn clear(&self) {
        for slot in &self.0 {
            slot.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    // CONTRACT O2
    #[test]
    fn a_call_counts_for_ten_seconds() {
        let window = Window::default();
        window.add(500, true);
        window.add(1_500, false);
        let sum = |calls, failures| Sum { calls, failures };
        assert_eq!(window.sum(1_500), sum(2, 1));
        assert_eq!(window.sum(9_999), sum(2, 1));
        assert_eq!(window.sum(10_000), sum(1, 0));
        assert_eq!(window.sum(11_000), sum(0, 0));
        window.add(20_100, false);
        assert_eq!(window.sum(20_100), sum(1, 0), "its slot was used before");
        window.add(10_100, true);
        assert_eq!(window.sum(20_100), sum(1, 0), "a call of long ago");
        window.clear();
        assert_eq!(window.sum(20_100), sum(0, 0));
    }

    proptest! {
        // CONTRACT O2
        #[test]
        fn it_is_exact_to_a_second(
            steps in prop::collection::vec((0_u32..3_000, any::<bool>()), 1..200),
            // After 65,536 seconds the word begins again.
            start in prop::sample::select(vec![0_u32, 65_530_000, 70_000_000]),
        ) {
            let (window, mut calls, mut now) = (Window::default(), VecDeque::new(), start);
            for (pause, is_failure) in steps {
                now += pause;
                window.add(now, is_failure);
                calls.push_back((now / 1_000, is_failure));
                calls.retain(|(second, _)| now / 1_000 - second < 10);
                let failures = calls.iter().filter(|(_, it)| *it).count();
                let sum = window.sum(now);
                prop_assert_eq!(sum.calls as usize, calls.len());
                prop_assert_eq!(sum.failures as usize, failures);
            }
        }
    }

    #[test]
    fn threads_that_add_at_once_all_count() {
        let window = Window::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|it| window.add(5_000, it % 4 == 0)));
            }
        });
        let expected = Sum {
            calls: 4_000,
            failures: 1_000,
        };
        assert_eq!(window.sum(5_000), expected);
    }
}
