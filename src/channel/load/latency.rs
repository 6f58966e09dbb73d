use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A moving average of how long calls take; one word: the average in 16ths of a microsecond, and
/// the millisecond of the last call.
#[derive(Debug, Default)]
pub(super) struct Latency(AtomicU64);

/// Without a call the average counts half as much after this time, so that a slow endpoint is
/// tried again.
const HALF_LIFE: u64 = 1_024;

impl Latency {
    fn cut(now: u64) -> u64 {
        (now / 1_000_000) & u64::from(u32::MAX)
    }

    /// A time in milliseconds, cut off to 32 bits.
    #[inline]
    pub(super) fn millis(now: u64) -> u32 {
        u32::try_from(Self::cut(now)).unwrap_or(0)
    }

    /// When the last call counted, in such milliseconds.
    #[inline]
    pub(super) fn last_millis(&self) -> u32 {
        let word = self.0.load(Ordering::Relaxed) & u64::from(u32::MAX);
        u32::try_from(word).unwrap_or(0)
    }

    /// A call took `nanos`, and ended at `now`. The average goes half of the way up and an eighth
    /// of the way down: what slows is noticed soon.
    #[inline]
    pub(super) fn add(&self, now: u64, nanos: u64) {
        let sample = nanos / 1_000 * 16 + nanos % 1_000 * 16 / 1_000;
        let sample = sample.clamp(1, u64::from(u32::MAX));
        let word = self.0.load(Ordering::Relaxed);
        let (average, idle) = Self::at(word, now);
        let next = if word == 0 || (sample > average && idle >= HALF_LIFE) {
            sample
        } else if sample > average {
            average + (sample - average).div_ceil(2)
        } else {
            average - (average - sample).div_ceil(8)
        };
        // Of two calls that end at once, one may be lost: the average does not need it.
        self.0.store(next << 32 | Self::cut(now), Ordering::Relaxed);
    }

    /// A call took at least this long; it says nothing if calls take longer anyway.
    pub(super) fn add_at_least(&self, now: u64, nanos: u64) {
        if nanos / 1_000 * 16 > self.at_pick(now) {
            self.add(now, nanos);
        }
    }

    /// The average as it counts at `now`, and the milliseconds since the last call.
    fn at(word: u64, now: u64) -> (u64, u64) {
        let idle = Self::cut(now).wrapping_sub(word) & u64::from(u32::MAX);
        if idle > u64::from(u32::MAX / 2) {
            // Another thread's clock was ahead.
            return (word >> 32, 0);
        }
        let halvings = u32::try_from(idle / HALF_LIFE).unwrap_or(u32::MAX);
        let average = (word >> 32).checked_shr(halvings).unwrap_or(0);
        (
            average - average * (idle % HALF_LIFE) / (2 * HALF_LIFE),
            idle,
        )
    }

    /// The average as it counts for a pick, to be compared with another.
    #[inline]
    pub(super) fn at_pick(&self, now: u64) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => 0,
            word => Self::at(word, now).0,
        }
    }

    /// The average of the last calls, however long ago.
    pub(super) fn last(&self) -> Option<Duration> {
        let word = self.0.load(Ordering::Relaxed);
        (word != 0).then(|| Duration::from_nanos((word >> 32) * 1_000 / 16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const S: u64 = 1_000 * MS;

    // CONTRACT L3
    #[test]
    fn the_average_follows_slow_calls_soon_and_fast_ones_by_and_by() {
        let latency = Latency::default();
        assert_eq!(latency.last(), None);
        latency.add(S, 8 * MS);
        assert_eq!(latency.last(), Some(Duration::from_millis(8)));
        latency.add(S, 16 * MS);
        assert_eq!(latency.last(), Some(Duration::from_millis(12)));
        latency.add(S, 4 * MS);
        assert_eq!(latency.last(), Some(Duration::from_millis(11)));
        for _ in 0..200 {
            latency.add(S, 4 * MS);
        }
        assert_eq!(latency.last(), Some(Duration::from_millis(4)));
    }

    // CONTRACT L3
    #[test]
    fn without_calls_the_average_halves_every_second() {
        let latency = Latency::default();
        latency.add(0, 512 * MS);
        let at = |now| latency.at_pick(now) / 16 / 1_000;
        assert_eq!(at(0), 512);
        assert_eq!(at(HALF_LIFE / 2 * MS), 384);
        assert_eq!(at(HALF_LIFE * MS), 256);
        assert_eq!(at(4 * HALF_LIFE * MS), 32);
        assert_eq!(at(100 * S), 0);
        assert_eq!(latency.last(), Some(Duration::from_millis(512)));
        // The next call is the news, and no mean of it and of nothing.
        latency.add(100 * S, 6 * MS);
        assert_eq!(latency.last(), Some(Duration::from_millis(6)));
    }

    #[test]
    fn a_call_that_was_given_up_can_only_slow() {
        let latency = Latency::default();
        latency.add(0, 10 * MS);
        latency.add_at_least(0, 5 * MS);
        assert_eq!(latency.last(), Some(Duration::from_millis(10)));
        latency.add_at_least(0, 30 * MS);
        assert_eq!(latency.last(), Some(Duration::from_millis(20)));
    }

    #[test]
    fn the_longest_and_the_shortest_call_fit() {
        let latency = Latency::default();
        latency.add(0, 0);
        assert!(latency.last().is_some());
        latency.add(2 * S, u64::MAX / 32);
        assert_eq!(latency.last().unwrap().as_secs(), 268);
    }

    #[test]
    fn a_clock_that_is_behind_sees_the_whole_average() {
        let latency = Latency::default();
        latency.add(10 * S, 8 * MS);
        assert_eq!(latency.at_pick(10 * S - MS), latency.at_pick(10 * S));
    }

    // CONTRACT L3
    #[test]
    fn a_fast_call_after_a_pause_lowers_the_average_by_an_eighth_as_ever() {
        let latency = Latency::default();
        latency.add(0, 512 * MS);
        latency.add(2 * HALF_LIFE * MS, 64 * MS);
        assert_eq!(latency.last(), Some(Duration::from_millis(120)));
    }
}
