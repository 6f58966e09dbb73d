use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use tokio::time::Instant;

use crate::clock::{Moment, TokioClock};
use crate::sync::Mutex;

use super::Quota;
use super::caller::Caller;
use super::promises::{Claim, Promises};
use super::snapshot::{Counters, count};

/// governor's bucket of one key, and the cells of it that are spoken for.
#[derive(Debug)]
pub(super) struct Meter {
    limiter: Limiter,
    fill_time: Duration,
    counters: Arc<Counters>,
    state: Mutex<State>,
}

type Limiter = governor::RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>;

#[derive(Debug)]
struct State {
    promises: Promises,
    /// By then the bucket is full again.
    full_at: Instant,
}

/// What a refused caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// When the first cell is free that is promised to nobody else.
    pub(super) after: Duration,
    /// Whether it is promised to this caller.
    pub(super) promised: bool,
}

impl Meter {
    pub(super) fn new(
        quota: Quota,
        grace: Duration,
        counters: &Arc<Counters>,
        now: Instant,
    ) -> Self {
        let governed = governor::Quota::with_period(quota.period())
            // A quota's period is never zero.
            .unwrap_or(governor::Quota::per_second(quota.burst_size()))
            .allow_burst(quota.burst_size());
        Self {
            limiter: Limiter::direct_with_clock(governed, TokioClock),
            fill_time: quota.fill_time(),
            counters: Arc::clone(counters),
            state: Mutex::new(State {
                promises: Promises::new(quota, grace, now),
                full_at: now,
            }),
        }
    }

    /// Takes a cell for the caller, or tells it when one is free: in the order in which callers came.
    pub(super) fn check(&self, caller: Caller, now: Instant) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        let State { promises, full_at } = &mut *state;
        let lapsed = promises.lapse(now);
        let claim = promises.claim(now, caller.returning);
        let decision = match claim {
            Claim::Taken => Err(promises.end()),
            Claim::Early => Err(promises.next()),
            Claim::Any | Claim::Promised | Claim::Spare => match self.limiter.check() {
                Ok(()) => {
                    // governor read the clock after us, and before this.
                    let then = TokioClock.now().0;
                    promises.admitted(claim, then);
                    *full_at = then.checked_add(self.fill_time).unwrap_or(then);
                    Ok(())
                }
                Err(not_until) => {
                    promises.refused(not_until.earliest_possible().0);
                    Err(match claim {
                        Claim::Promised => promises.next(),
                        _ => promises.end(),
                    })
                }
            },
        };
        let decision = decision.map_err(|free| {
            let after = free.saturating_duration_since(now);
            let stands = matches!(claim, Claim::Early | Claim::Promised);
            let promised = !stands && whole_millis(after) < caller.patience;
            if promised {
                promises.promise();
            }
            Refusal { after, promised }
        });
        drop(state);
        self.count(lapsed, claim, decision);
        decision
    }

    /// Lets promises lapse, and says whether it is now as good as a new one.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        count(&self.counters.lapsed, state.promises.lapse(now));
        !state.promises.stand() && state.full_at <= now
    }

    fn count(&self, lapsed: u64, claim: Claim, decision: Result<(), Refusal>) {
        let counters = &self.counters;
        count(&counters.lapsed, lapsed);
        match decision {
            Ok(()) => {
                count(&counters.admitted, 1);
                count(&counters.kept, (claim == Claim::Promised).into());
            }
            Err(refusal) => {
                count(&counters.refused, 1);
                count(&counters.promised, refusal.promised.into());
            }
        }
    }
}

/// Rounded up, so that who waits as long does not come too early: the unit of a pushback.
pub(super) fn whole_millis(delay: Duration) -> Duration {
    let millis = delay.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).map_or(Duration::MAX, Duration::from_millis)
}
