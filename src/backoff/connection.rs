use std::time::Duration;

use super::jitter::scale;
use super::{Backoff, Exponential, Jitter, Retry};

/// The backoff between two dials of a connection; the default of wait-for-ready.
///
/// 100 ms, x1.6, +-20 % jitter. The cap is 800 ms during the first 10 s of an outage, then grows
/// from dial to dial up to 10 s.
///
/// gRPC's own curve, [`Exponential::grpc`], starts at 1 s, so a server that restarts in 300 ms
/// costs every caller a second. This curve finds a server within a second if it was down for less
/// than 10 s, and within 12 s otherwise: one dial each 10 s harms no server.
///
/// ```
/// use grpc_resilience::backoff::{Backoff, ConnectionBackoff, Retry};
/// use std::time::Duration;
///
/// let (curve, ms) = (ConnectionBackoff::new(), Duration::from_millis);
/// let dial = |number, age| curve.dial_delay(&Retry::new(number, Duration::ZERO, 0.5), age);
/// assert_eq!(dial(1, ms(0)), ms(100));
/// assert_eq!(dial(9, ms(5_000)), ms(800));
/// assert_eq!(dial(20, ms(60_000)), ms(10_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionBackoff {}

const INITIAL: Duration = Duration::from_millis(100);
const MULTIPLIER: f64 = 1.6;
/// How long an outage counts as young: a restart takes seconds.
const YOUNG: Duration = Duration::from_secs(10);
const YOUNG_MAX: Duration = Duration::from_millis(800);
const MAX: Duration = Duration::from_secs(10);

impl ConnectionBackoff {
    /// The standard curve. It has no settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The longest delay in an outage of this age.
    ///
    /// Delays that grow by a factor `m` add up to their last one divided by `m - 1`, so this cap
    /// grows at the speed of the curve, without a jump.
    fn max(age: Duration) -> Duration {
        let grown = scale(age.saturating_sub(YOUNG), MULTIPLIER - 1.0);
        YOUNG_MAX.saturating_add(grown).min(MAX)
    }
}

impl Backoff for ConnectionBackoff {
    /// The delay in an outage that has just begun.
    fn delay(&self, retry: &Retry) -> Duration {
        self.dial_delay(retry, Duration::ZERO)
    }

    fn dial_delay(&self, dial: &Retry, age: Duration) -> Duration {
        Exponential::standard(INITIAL, MULTIPLIER, Self::max(age))
            .jitter(Jitter::A6)
            .delay(dial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// The delays in ms between the dials of an outage, without jitter.
    fn dials(lasts: Duration) -> Vec<u128> {
        let (mut age, mut dials) = (Duration::ZERO, Vec::new());
        while age < lasts {
            let dial = u32::try_from(dials.len()).unwrap() + 1;
            let delay =
                ConnectionBackoff::new().dial_delay(&Retry::new(dial, Duration::ZERO, 0.5), age);
            dials.push(delay.as_millis());
            age += delay;
        }
        dials
    }

    // CONTRACT W5
    #[test]
    fn a_young_outage_is_dialled_often_and_an_old_one_rarely() {
        let outage = dials(Duration::from_secs(120));
        assert_eq!(outage[..6], [100, 160, 256, 409, 655, 800]);
        let mut age = 0;
        for pair in outage.windows(2) {
            age += pair[0];
            assert!(age >= 10_000 || pair[1] <= 800, "{pair:?} at {age}");
            assert!(age <= 30_000 || pair[1] == 10_000, "{pair:?} at {age}");
            assert!(pair[1] <= pair[0] * 17 / 10 + 1, "a leap: {pair:?}");
        }
    }

    // CONTRACT W5
    #[test]
    fn its_jitter_is_a_fifth() {
        let at = |unit, age| {
            ConnectionBackoff::new().dial_delay(&Retry::new(1, Duration::ZERO, unit), age)
        };
        assert_eq!(
            (at(0.0, ms(0)), at(0.999_999, ms(0)).as_millis()),
            (ms(80), 119)
        );
        let old = |unit| {
            let age = Duration::from_secs(60);
            ConnectionBackoff::new().dial_delay(&Retry::new(30, Duration::ZERO, unit), age)
        };
        assert_eq!((old(0.0), old(0.999_999).as_secs()), (ms(8_000), 11));
    }
}
