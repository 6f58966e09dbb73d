use std::time::Duration;

use super::jitter::scale;
use super::{Backoff, Jitter, Retry};

/// The default cap, unless the initial delay is longer. With full jitter a client comes back after
/// five seconds on average, soon enough for a person who waits.
const DEFAULT_MAX: Duration = Duration::from_secs(10);

/// Exponential backoff: `min(initial * multiplier^(retry - 1), max)`, then jitter.
///
/// Defaults: multiplier 2, max 10 s (or `initial` if that is longer), [full jitter](Jitter::Full).
/// Saturates at any retry number. Source: gRFC A6 and CONTRACT R4, which caps before the jitter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    initial: Duration,
    max: Duration,
    multiplier: f64,
    jitter: Jitter,
}

/// Returned for an invalid backoff.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBackoff {
    /// The initial delay is zero: no multiplier makes it grow.
    #[error("the initial delay of a backoff must be above zero")]
    ZeroInitial,
    /// The cap is below the first delay.
    #[error("the maximum delay {max:?} lies below the initial delay {initial:?}")]
    MaxBelowInitial {
        /// The initial delay.
        initial: Duration,
        /// The cap.
        max: Duration,
    },
    /// The multiplier is not a finite number above zero.
    #[error("the multiplier of a backoff must be a finite number above zero, not {0}")]
    Multiplier(f64),
}

impl Exponential {
    /// Creates a curve that starts at `initial`.
    ///
    /// # Errors
    ///
    /// [`InvalidBackoff::ZeroInitial`] if `initial` is zero.
    pub fn new(initial: Duration) -> Result<Self, InvalidBackoff> {
        if initial.is_zero() {
            return Err(InvalidBackoff::ZeroInitial);
        }
        Ok(Self {
            initial,
            max: DEFAULT_MAX.max(initial),
            multiplier: 2.0,
            jitter: Jitter::default(),
        })
    }

    /// gRPC's curve between two dials of a connection: 1 s, x1.6, +-20 %, at most 120 s. Source:
    /// [connection-backoff](https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md).
    #[must_use]
    pub fn grpc() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(120),
            multiplier: 1.6,
            jitter: Jitter::A6,
        }
    }

    /// Creates a curve from constants of this crate, which are known to be valid.
    pub(crate) fn standard(initial: Duration, multiplier: f64, max: Duration) -> Self {
        debug_assert!(!initial.is_zero() && initial <= max && multiplier > 0.0);
        Self {
            initial,
            max,
            multiplier,
            jitter: Jitter::default(),
        }
    }

    /// Sets the cap of the delay before jitter. Default: 10 s, or `initial` if that is longer.
    ///
    /// # Errors
    ///
    /// [`InvalidBackoff::MaxBelowInitial`] if `max` is below the initial delay.
    pub fn max(self, max: Duration) -> Result<Self, InvalidBackoff> {
        if max < self.initial {
            let initial = self.initial;
            return Err(InvalidBackoff::MaxBelowInitial { initial, max });
        }
        Ok(Self { max, ..self })
    }

    /// Sets the factor from one delay to the next. Default: 2.
    ///
    /// A factor of 1 keeps the delay constant and a smaller one shrinks it; gRFC A6 requires only
    /// that it is above zero.
    ///
    /// # Errors
    ///
    /// [`InvalidBackoff::Multiplier`] if it is not a finite number above zero.
    pub fn multiplier(self, multiplier: f64) -> Result<Self, InvalidBackoff> {
        if !multiplier.is_finite() || multiplier <= 0.0 {
            return Err(InvalidBackoff::Multiplier(multiplier));
        }
        Ok(Self { multiplier, ..self })
    }

    /// Sets how a random number spreads the delay. Default: [`Jitter::Full`].
    #[must_use]
    pub fn jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }
}

impl Backoff for Exponential {
    fn delay(&self, retry: &Retry) -> Duration {
        let exponent = i32::try_from(retry.number.saturating_sub(1)).unwrap_or(i32::MAX);
        let base = scale(self.initial, self.multiplier.powi(exponent)).min(self.max);
        self.jitter
            .spread(base, self.initial, self.max, retry.previous, retry.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn curve(jitter: Jitter) -> Exponential {
        Exponential::new(ms(10))
            .unwrap()
            .max(ms(100))
            .unwrap()
            .jitter(jitter)
    }

    // CONTRACT R4, PEER-CASES JAVA-backoff
    #[test]
    fn delays_grow_by_the_multiplier_up_to_the_maximum() {
        let delays: Vec<_> = (1..=6)
            .map(|retry| curve(Jitter::None).delay(&Retry::new(retry, ms(0), 0.3)))
            .collect();
        assert_eq!(delays, [ms(10), ms(20), ms(40), ms(80), ms(100), ms(100)]);
    }

    // CONTRACT W5
    #[test]
    fn grpc_s_curve_is_that_of_its_document() {
        let middle = |retry| Exponential::grpc().delay(&Retry::new(retry, ms(0), 0.5));
        assert_eq!((middle(1), middle(2)), (ms(1_000), ms(1_600)));
        assert_eq!(middle(50), ms(120_000));
        assert_eq!(
            Exponential::grpc().delay(&Retry::new(1, ms(0), 0.0)),
            ms(800)
        );
    }

    #[test]
    fn saturates_at_any_retry_number() {
        for jitter in [
            Jitter::None,
            Jitter::Full,
            Jitter::Equal,
            Jitter::Decorrelated,
            Jitter::A6,
        ] {
            for retry in [0, 1, 1_000, u32::MAX] {
                let delay = curve(jitter).delay(&Retry::new(retry, Duration::MAX, 0.999_999));
                assert!(delay <= ms(120), "{jitter:?} {retry} {delay:?}");
            }
        }
        let slow = Exponential::new(ms(10))
            .unwrap()
            .multiplier(f64::MAX)
            .unwrap();
        assert_eq!(
            slow.jitter(Jitter::None).delay(&Retry::new(9, ms(0), 0.0)),
            Duration::from_secs(10)
        );
    }

    #[test]
    fn a_backoff_that_can_not_be_is_refused_at_construction() {
        assert_eq!(Exponential::new(ms(0)), Err(InvalidBackoff::ZeroInitial));
        let below = curve(Jitter::None).max(ms(9));
        assert!(matches!(below, Err(InvalidBackoff::MaxBelowInitial { .. })));
        for multiplier in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(curve(Jitter::None).multiplier(multiplier).is_err());
        }
    }

    proptest! {
        // CONTRACT R4, PEER-CASES MW-jitter-bounds
        #[test]
        fn each_jitter_stays_within_its_bounds(retry in 1_u32..40, unit in 0.0..1.0_f64) {
            let base = curve(Jitter::None).delay(&Retry::new(retry, ms(0), unit));
            prop_assert!(curve(Jitter::Full).delay(&Retry::new(retry, ms(0), unit)) <= base);
            let equal = curve(Jitter::Equal).delay(&Retry::new(retry, ms(0), unit));
            prop_assert!(equal >= base / 2 && equal <= base);
            let a6 = curve(Jitter::A6).delay(&Retry::new(retry, ms(0), unit));
            prop_assert!(a6 >= scale(base, 0.799) && a6 <= scale(base, 1.201));
            let decorrelated = curve(Jitter::Decorrelated).delay(&Retry::new(retry, ms(20), unit));
            prop_assert!(decorrelated >= ms(10) && decorrelated <= ms(60));
        }
    }
}
