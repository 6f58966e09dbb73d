use std::time::Duration;

use super::rules::Rules;

/// How long an endpoint stays in the set before one of its ejections is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// The part of the time that is random, to each side.
const JITTER: f64 = 0.2;

impl Rules {
    /// How long the n-th ejection lasts; `unit` is random, in `[0, 1)` (CONTRACT O3).
    pub(super) fn lasts(&self, times: u32, unit: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(times.saturating_sub(1));
        let time = self.base.saturating_mul(doubled).min(self.longest);
        time.mul_f64(1.0 - JITTER + 2.0 * JITTER * unit)
    }
}

/// The number of the next ejection of an endpoint that was ejected so often, and has been in the
/// set since for so long.
pub(super) fn next(times: u32, in_set_for: Duration) -> u32 {
    let forgotten = in_set_for.as_secs() / FORGOTTEN.as_secs();
    let left = times.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
    left.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::super::rules::tests::rules;
    use super::*;

    // CONTRACT O3
    #[test]
    fn an_ejection_lasts_a_second_and_twice_as_long_each_time_up_to_a_minute() {
        let millis = |times, unit| rules().lasts(times, unit).as_millis();
        let doubled: Vec<_> = (1..=8).map(|times| millis(times, 0.5)).collect();
        let expected = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
        assert_eq!(doubled, expected);
        assert_eq!((millis(1, 0.0), millis(1, 1.0)), (800, 1_200));
        assert_eq!((millis(9, 0.0), millis(u32::MAX, 1.0)), (48_000, 72_000));
    }

    // CONTRACT O3
    #[test]
    fn ten_seconds_in_the_set_forget_one_ejection() {
        let seconds = Duration::from_secs;
        for (times, stayed, expected) in [
            (0, 0, 1),
            (1, 9, 2),
            (1, 10, 1),
            (5, 25, 4),
            (5, 3_600, 1),
            (u32::MAX, 0, u32::MAX),
        ] {
            assert_eq!(next(times, seconds(stayed)), expected);
        }
    }
}
