use std::sync::atomic::{AtomicU64, Ordering};

/// A count that halves with every half-life; one word, which threads update without a lock.
///
/// The upper bits are the tick of the last change, the lower ones the count then, in 256ths. A
/// half-life has 16 ticks of `TICK` nanoseconds each.
#[derive(Debug, Default)]
pub(super) struct Decaying<const TICK: u64>(AtomicU64);

const VALUE_BITS: u32 = 36;
const VALUE: u64 = (1 << VALUE_BITS) - 1;
const TICKS: u64 = (1 << (64 - VALUE_BITS)) - 1;
/// One, in 256ths.
const ONE: u64 = 256;
/// More than this is not counted: it leaves room for threads that add at the same time.
const MOST: u64 = VALUE / 2;
/// What is left after 0 to 15 ticks, in 65,536ths: 2 to the power of -n/16.
const LEFT: [u64; 16] = [
    65_536, 62_757, 60_097, 57_549, 55_109, 52_772, 50_535, 48_393, 46_341, 44_376, 42_495, 40_693,
    38_968, 37_316, 35_734, 34_219,
];

impl<const TICK: u64> Decaying<TICK> {
    fn tick(now: u64) -> u64 {
        (now / TICK) & TICKS
    }

    fn at(word: u64, tick: u64) -> u64 {
        let (value, since) = (word & VALUE, word >> VALUE_BITS);
        if value == 0 || since == tick {
            return value;
        }
        let passed = tick.wrapping_sub(since) & TICKS;
        if passed > TICKS / 2 {
            // Another thread's clock was ahead.
            return value;
        }
        let left = LEFT.get((passed % 16) as usize).copied().unwrap_or(0);
        let halved = value.checked_shr(u32::try_from(passed / 16).unwrap_or(u32::MAX));
        (halved.unwrap_or(0) * left) >> 16
    }

    /// Counts one more, at `now` nanoseconds.
    #[inline]
    pub(super) fn add(&self, now: u64) {
        let tick = Self::tick(now);
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let value = Self::at(word, tick);
            if value >= MOST {
                return;
            }
            let next = tick << VALUE_BITS | (value + ONE);
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            match self.0.compare_exchange_weak(word, next, success, failure) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
    }

    /// The count at `now`, rounded down.
    #[inline]
    pub(super) fn whole(&self, now: u64) -> u32 {
        let word = self.0.load(Ordering::Relaxed);
        if word & VALUE == 0 {
            return 0;
        }
        u32::try_from(Self::at(word, Self::tick(now)) / ONE).unwrap_or(u32::MAX)
    }

    /// The count at `now`, with its fraction.
    pub(super) fn exact(&self, now: u64) -> f64 {
        let value = Self::at(self.0.load(Ordering::Relaxed), Self::tick(now));
        #[expect(clippy::cast_precision_loss, reason = "it has 36 bits")]
        let exact = value as f64 / ONE as f64;
        exact
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: u64 = 1_000;

    #[test]
    fn a_count_halves_with_every_half_life() {
        let count = Decaying::<TICK>::default();
        assert_eq!(count.whole(5), 0);
        for _ in 0..100 {
            count.add(5_000);
        }
        assert_eq!(count.whole(5_000), 100);
        assert_eq!(count.whole(5_000 + 16 * TICK), 50);
        assert_eq!(count.whole(5_000 + 32 * TICK), 25);
        let quarter = count.exact(5_000 + 4 * TICK);
        assert!((quarter - 84.09).abs() < 0.1, "{quarter}");
        assert_eq!(count.whole(5_000 + 16 * 40 * TICK), 0, "it ends at nothing");
        count.add(5_000 + 16 * TICK);
        assert_eq!(count.whole(5_000 + 16 * TICK), 51);
    }

    #[test]
    fn it_counts_at_a_steady_rate_what_comes_in_a_half_life_and_a_half() {
        let count = Decaying::<TICK>::default();
        for now in 0..1_000 {
            count.add(now * TICK);
        }
        let steady = count.exact(999 * TICK);
        assert!((steady - 23.6).abs() < 0.5, "16 / ln 2: {steady}");
    }

    #[test]
    fn a_clock_that_is_behind_and_a_full_count_do_no_harm() {
        let count = Decaying::<TICK>::default();
        count.add(100 * TICK);
        assert_eq!(count.whole(99 * TICK), 1);
        count.0.store(MOST, Ordering::Relaxed);
        count.add(0);
        assert_eq!(count.0.load(Ordering::Relaxed) & VALUE, MOST);
    }

    #[test]
    fn threads_that_add_at_once_all_count() {
        let count = Decaying::<TICK>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| count.add(0)));
            }
        });
        assert_eq!(count.whole(0), 4_000);
    }
}
