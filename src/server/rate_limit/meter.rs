use std::time::Duration;

use crate::kernel::sync::Mutex;

use super::caller::Caller;
use super::pace::{MILLI, Nanos, Pace};
use super::promises::{Asks, Gets, Promises};
use super::snapshot::{Counters, count};

/// The bucket of one key.
#[derive(Debug)]
pub(super) struct Meter(Mutex<Promises>);

/// The time that a refused caller receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The time until the first cell that is not promised to another caller.
    pub(super) after: Duration,
    /// Whether that cell is promised to this caller.
    pub(super) promised: bool,
}

impl Meter {
    pub(super) fn new(now: Nanos) -> Self {
        Self(Mutex::new(Promises::new(now)))
    }

    /// Takes a cell for the caller and returns how long the caller waits for it, or refuses with
    /// the time of a cell, in the order in which callers arrive.
    pub(super) fn check(
        &self,
        pace: &Pace,
        counters: &Counters,
        caller: Caller,
        now: Nanos,
    ) -> Result<Duration, Refusal> {
        let asks = Asks {
            returning: caller.returning,
            patience: longest_that_suits(caller.patience),
        };
        let (lapsed, gets) = {
            let mut promises = self.0.lock();
            (promises.lapse(pace, now), promises.ask(pace, asks, now))
        };
        count(&counters.lapsed, lapsed);
        let after = |at: Nanos| Duration::from_nanos(at.saturating_sub(now));
        let (promised, at) = match gets {
            Gets::Cell { at, promised } => {
                count(&counters.admitted, 1);
                count(&counters.kept, promised.into());
                return Ok(after(at));
            }
            Gets::Promise { at } => (true, at),
            Gets::Nothing { at } => (false, at),
        };
        count(&counters.refused, 1);
        count(&counters.promised, promised.into());
        let after = after(at);
        Err(Refusal { after, promised })
    }

    /// Lets promises lapse, and returns whether the bucket is equal to a new one.
    pub(super) fn is_idle(&self, pace: &Pace, counters: &Counters, now: Nanos) -> bool {
        let mut promises = self.0.lock();
        count(&counters.lapsed, promises.lapse(pace, now));
        !promises.stand() && promises.is_full(now)
    }
}

/// Rounds up to the unit of a pushback, so that a caller that waits as long does not return early.
pub(super) fn whole_millis(delay: Duration) -> Duration {
    let millis = delay.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).map_or(Duration::MAX, Duration::from_millis)
}

/// The longest delay for a caller, which must return before its patience ends and receives whole
/// milliseconds.
fn longest_that_suits(patience: Duration) -> Nanos {
    let less = patience.saturating_sub(Duration::from_nanos(1));
    let millis = u64::try_from(less.as_millis()).unwrap_or(u64::MAX);
    millis.saturating_mul(MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_suits_if_it_is_over_before_the_patience_once_it_is_told_in_whole_milliseconds() {
        let ms = Duration::from_millis;
        for patience in [
            0,
            1,
            999_999,
            1_000_000,
            1_000_001,
            334_000_000,
            334_000_001,
        ] {
            let patience = Duration::from_nanos(patience);
            let longest = Duration::from_nanos(longest_that_suits(patience));
            assert!(longest.is_zero() || whole_millis(longest) < patience);
            let longer = longest + Duration::from_nanos(1);
            assert!(whole_millis(longer) >= patience, "{patience:?}");
        }
        assert!(longest_that_suits(Duration::MAX) > longest_that_suits(ms(1_000)));
    }
}
