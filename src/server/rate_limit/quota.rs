use std::num::NonZeroU32;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A rate of requests: a bucket of cells that fills at an even pace.
///
/// Each request takes a cell. One becomes free every period; unused cells are kept, up to the
/// burst.
///
/// ```
/// use grpc_resilience::rate_limit::Quota;
/// use std::time::Duration;
///
/// let quota = Quota::per_second(500)?; // one every 2 ms, and a burst of 500
/// let narrow = Quota::per_second(500)?.burst(50)?;
/// let slow = Quota::every(Duration::from_secs(30))?; // a burst of 1
/// # Ok::<(), grpc_resilience::rate_limit::InvalidQuota>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    period: Duration,
    burst: NonZeroU32,
}

/// Returned for an invalid quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidQuota {
    /// The number of requests is 0.
    #[error("the quota admits no request: set at least 1")]
    Nothing,
    /// The period is shorter than 1 ns, the resolution of the limit.
    #[error("the period is shorter than 1 ns: set a longer period or fewer requests")]
    TooFast,
    /// The bucket would take more than a year to fill.
    #[error("the burst takes {0:?} to fill, over a year: set a smaller burst or a shorter period")]
    TooSlow(Duration),
}

impl Quota {
    /// This number of requests a second, evenly spaced, with a burst of as many.
    ///
    /// The period is rounded up to a nanosecond.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] for 0, and for more than 1,000,000,000.
    pub fn per_second(requests: u32) -> Result<Self, InvalidQuota> {
        Self::spread(requests, SECOND)
    }

    /// This number of requests a minute, evenly spaced, with a burst of as many.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] for 0.
    pub fn per_minute(requests: u32) -> Result<Self, InvalidQuota> {
        Self::spread(requests, MINUTE)
    }

    /// One request each period, with a burst of one.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] if the period is zero or longer than a year.
    pub fn every(period: Duration) -> Result<Self, InvalidQuota> {
        if period.is_zero() {
            return Err(InvalidQuota::TooFast);
        }
        Self::valid(period, NonZeroU32::MIN)
    }

    /// Sets the burst: the number of requests admitted at once after a pause.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] for 0, and if the burst takes more than a year to fill.
    pub fn burst(self, requests: u32) -> Result<Self, InvalidQuota> {
        let burst = NonZeroU32::new(requests).ok_or(InvalidQuota::Nothing)?;
        Self::valid(self.period, burst)
    }

    /// The time from one cell to the next.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// The number of cells that the bucket keeps.
    #[must_use]
    pub fn burst_size(&self) -> NonZeroU32 {
        self.burst
    }

    /// The time until an empty bucket is full.
    pub(super) fn fill_time(&self) -> Duration {
        self.period.saturating_mul(self.burst.get())
    }

    fn spread(requests: u32, span: Duration) -> Result<Self, InvalidQuota> {
        let burst = NonZeroU32::new(requests).ok_or(InvalidQuota::Nothing)?;
        let requests = u128::from(requests);
        if requests > span.as_nanos() {
            return Err(InvalidQuota::TooFast);
        }
        // Rounded up, so that the rate never exceeds the setting.
        let period = span.as_nanos().div_ceil(requests);
        let period = Duration::from_nanos(u64::try_from(period).unwrap_or(u64::MAX));
        Self::valid(period, burst)
    }

    fn valid(period: Duration, burst: NonZeroU32) -> Result<Self, InvalidQuota> {
        let quota = Self { period, burst };
        if quota.fill_time() > YEAR {
            return Err(InvalidQuota::TooSlow(quota.fill_time()));
        }
        Ok(quota)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quota_that_can_not_be_is_refused() {
        assert_eq!(Quota::per_second(0), Err(InvalidQuota::Nothing));
        assert_eq!(Quota::per_minute(0), Err(InvalidQuota::Nothing));
        assert_eq!(Quota::per_second(u32::MAX), Err(InvalidQuota::TooFast));
        assert_eq!(Quota::every(Duration::ZERO), Err(InvalidQuota::TooFast));
        assert!(matches!(
            Quota::every(Duration::MAX),
            Err(InvalidQuota::TooSlow(_))
        ));
        let daily = Quota::every(Duration::from_secs(86_400)).unwrap();
        assert_eq!(daily.burst(0), Err(InvalidQuota::Nothing));
        assert!(daily.burst(365).is_ok());
        assert!(matches!(daily.burst(366), Err(InvalidQuota::TooSlow(_))));
    }

    proptest! {
        #[test]
        fn a_period_is_never_shorter_than_was_asked_for(requests in 1_u32..=1_000_000_000) {
            let quota = Quota::per_second(requests).unwrap();
            prop_assert!(quota.period() * requests >= SECOND);
            let shorter = quota.period().saturating_sub(Duration::from_nanos(1));
            prop_assert!(shorter * requests < SECOND);
        }
    }
}
