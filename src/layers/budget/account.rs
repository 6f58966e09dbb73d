use std::time::Duration;

use tokio::time::Instant;

use crate::kernel::sync::Mutex;

use super::floor::{Floor, Grant};
use super::units::{Units, Withdrawal};

/// The cost of an extra attempt, in units. A call pays in units for a thousandth of a percent of
/// an attempt or a multiple, so that all sums are integers.
pub(super) const ATTEMPT: u32 = 100_000;

/// The units that calls have paid in, and a floor for times without them. One lock protects both;
/// it is held for a constant number of steps.
#[derive(Debug)]
pub(super) struct Account {
    start: Instant,
    funds: Mutex<Funds>,
}

#[derive(Debug)]
struct Funds {
    units: Units,
    floor: Option<Floor>,
}

/// The source of an extra attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Paid {
    Calls(Withdrawal),
    Floor(Grant),
}

impl Account {
    pub(super) fn new(window: Duration, floor: u32) -> Self {
        let funds = Funds {
            units: Units::over(window),
            floor: Floor::per_second(floor),
        };
        Self {
            start: Instant::now(),
            funds: Mutex::new(funds),
        }
    }

    pub(super) fn pay_in(&self, units: u32) {
        self.with(|funds, now| funds.units.deposit(units.into(), now));
    }

    pub(super) fn pay_attempt(&self) -> Option<Paid> {
        self.with(|funds, now| {
            let by_calls = funds.units.withdraw(ATTEMPT.into(), now);
            by_calls
                .map(Paid::Calls)
                .or_else(|| funds.floor.as_mut()?.grant().map(Paid::Floor))
        })
    }

    pub(super) fn pay_back(&self, paid: &Paid) {
        self.with(|funds, _| match (paid, &mut funds.floor) {
            (Paid::Calls(withdrawal), _) => funds.units.put_back(withdrawal),
            (Paid::Floor(grant), Some(floor)) => floor.put_back(*grant),
            (Paid::Floor(_), None) => {}
        });
    }

    pub(super) fn units(&self) -> u64 {
        self.with(|funds, now| funds.units.there(now))
    }

    /// Reads the clock under the lock, so that time never goes backwards between two holders.
    fn with<T>(&self, change: impl FnOnce(&mut Funds, Duration) -> T) -> T {
        let mut funds = self.funds.lock();
        change(&mut funds, self.start.elapsed())
    }
}
