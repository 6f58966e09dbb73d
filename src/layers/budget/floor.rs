use std::fmt;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::kernel::clock::{Moment, TokioClock};

const NANOS_OF_A_SECOND: u64 = 1_000_000_000;

/// Some extra attempts a second, evenly spaced: what was not used is not saved up.
pub(super) struct Floor {
    quota: Quota,
    limiter: Limiter,
    grants: u64,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>;

/// The number of an attempt that was granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant(u64);

impl Floor {
    /// `None` for none.
    pub(super) fn per_second(attempts: u32) -> Option<Self> {
        // Rounded up, so that the rate never exceeds what was said.
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

    /// An attempt never started. If another was granted since, its time is over and nothing is left to
    /// give back; if none was, the one before it is an interval past, so that a limiter without a
    /// past is exact.
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
