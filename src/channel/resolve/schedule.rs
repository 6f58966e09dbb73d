use std::time::Duration;

use crate::backoff::{Backoff as _, Exponential, Retry};

/// The least time for which addresses count as fresh, unless set.
pub(in crate::channel) const MIN_TTL: Duration = Duration::from_secs(5);
/// The most; it bounds for how long a server that was added gets no call.
pub(in crate::channel) const MAX_TTL: Duration = Duration::from_secs(300);
/// The share of the time that is taken off at random, so that clients do not ask together.
const JITTER: f64 = 0.1;
/// The step of the backoff, 4.1 s, that answers without an address do not go beyond. The last
/// addresses are used for 60 s after the first of them, so a name that is back is to be seen soon.
const MOST_STEPS_WITHOUT_ADDRESS: u32 = 4;

/// When to look up a name again (CONTRACT N6).
#[derive(Debug)]
pub(super) struct Schedule {
    min_ttl: Duration,
    failures: u32,
}

impl Schedule {
    pub(super) fn new(min_ttl: Duration) -> Self {
        Self {
            min_ttl,
            failures: 0,
        }
    }

    /// The delay after an answer that is good for `ttl`. `unit` is a random number in `[0, 1)`.
    pub(super) fn after_answer(&mut self, ttl: Duration, unit: f64) -> Duration {
        self.failures = 0;
        let ttl = ttl.clamp(self.min_ttl, MAX_TTL);
        ttl.mul_f64(1.0 - JITTER * unit)
    }

    /// The delay after a failure: gRPC's curve, 1 s x1.6 to 120 s.
    pub(super) fn after_failure(&mut self, unit: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        Exponential::grpc().delay(&Retry::new(self.failures, Duration::ZERO, unit))
    }

    /// The delay after the answer that there is no address: the same curve, to 4.1 s.
    pub(super) fn after_no_address(&mut self, unit: f64) -> Duration {
        self.failures = self.failures.min(MOST_STEPS_WITHOUT_ADDRESS - 1);
        self.after_failure(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    // CONTRACT N6
    #[test]
    fn a_ttl_is_kept_within_its_bounds_and_shortened_by_up_to_a_tenth() {
        for (min, ttl, unit, expected) in [
            (5, 30, 0.0, seconds(30)),
            (5, 30, 0.5, Duration::from_millis(28_500)),
            (5, 0, 0.0, seconds(5)),
            (5, 1, 0.0, seconds(5)),
            (5, 300, 0.0, seconds(300)),
            (5, 86_400, 0.0, seconds(300)),
            (5, 86_400, 1.0, seconds(270)),
            (1, 0, 0.0, seconds(1)),
            (1, 2, 0.0, seconds(2)),
        ] {
            let delay = Schedule::new(seconds(min)).after_answer(seconds(ttl), unit);
            assert_eq!(delay, expected, "{ttl} s of at least {min} s");
        }
    }

    // CONTRACT N6
    #[test]
    fn failures_back_off_from_a_second_to_two_minutes() {
        let mut schedule = Schedule::new(MIN_TTL);
        let mut delays = |count| -> Vec<_> {
            (0..count)
                .map(|_| schedule.after_failure(0.5).as_millis())
                .collect()
        };
        assert_eq!(delays(4), [1_000, 1_600, 2_560, 4_096]);
        assert_eq!(delays(20).last(), Some(&120_000));
        schedule.after_answer(seconds(30), 0.0);
        assert_eq!(schedule.after_failure(0.5), seconds(1));
    }

    // CONTRACT N6, N2
    #[test]
    fn a_name_without_an_address_is_asked_for_every_4_s() {
        let mut schedule = Schedule::new(MIN_TTL);
        let mut delays = |count| -> Vec<_> {
            (0..count)
                .map(|_| schedule.after_no_address(0.5).as_millis())
                .collect()
        };
        assert_eq!(delays(6), [1_000, 1_600, 2_560, 4_096, 4_096, 4_096]);
        // The server answers, so its earlier failures count no more.
        for _ in 0..20 {
            schedule.after_failure(0.5);
        }
        assert_eq!(schedule.after_no_address(0.5).as_millis(), 4_096);
        assert!(schedule.after_no_address(1.0) < seconds(5));
    }
}
