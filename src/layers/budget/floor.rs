use std::fmt;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::kernel::clock::{Moment, TokioClock};

const NANOS_OF_A_SECOND: u64 = 1_000_000_000;

/// A fixed number of extra attempts a second, evenly spaced. Unused ones are not saved up.
pub(super) struct Floor {
    quota: Quota,
    limiter: Limiter,
    grants: u64,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>;

/// The number of a granted attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant(u64);

impl Floor {
    /// `None` for a rate of zero.
    pub(super) fn per_second(attempts: u32) -> Option<Self> {
        // Rounded up, so that the rate never exceeds the setting.
        let interval = match attempts {
            0 => return None,
            _ => NANOS_OF_A_SECOND.div_ceil(attempts.into()),
        };
        let quota = Quota::with_period(Duration::from_nanos(interval))?;
        Some(Self {
            quota,
            limiter: Limiter::direct_with_clock(quota, TokioClock),
            grants: 0,
        })
    }

    pub(super) fn grant(&mut self) -> Option<Grant> {
        self.limiter.check().ok()?;
        self.grants = self.grants.wrapping_add(1);
        Some(Grant(self.grants))
    }

    /// Takes back the grant of an attempt that never started. If a later attempt was granted, the
    /// grant has expired. Otherwise the previous attempt is at least an interval ago, so a new
    /// limiter without history is exact.
    pub(super) fn put_back(&mut self, grant: Grant) {
        if grant.0 == self.grants {
            self.limiter = Limiter::direct_with_clock(self.quota, TokioClock);
        }
    }
}

impl fmt::Debug for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Floor")
            .field("interval", &self.quota.replenish_interval())
            .field("grants", &self.grants)
            .finish_non_exhaustive()
    }
}
