use std::time::Duration;

use crate::kernel::window::{SlotNumber, Window};

/// A deposit lasts for the window at most, and at least for the window less one slot: 95 %.
const SLOTS: usize = 20;

/// Units that were deposited recently and expire with time. Each function takes a constant number
/// of steps.
#[derive(Clone, Debug)]
pub(super) struct Units(Window<u64, SLOTS>);

/// The units that were withdrawn, slot by slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Withdrawal([(SlotNumber, u64); SLOTS]);

impl Units {
    pub(super) fn over(window: Duration) -> Self {
        Self(Window::new(window))
    }

    /// Adds units. A slot holds up to `u64::MAX`; units beyond that are lost.
    pub(super) fn deposit(&mut self, units: u64, since_start: Duration) {
        self.0.add(since_start, units);
    }

    /// Takes units, the oldest first; `None` if there are not enough.
    pub(super) fn withdraw(&mut self, units: u64, since_start: Duration) -> Option<Withdrawal> {
        if self.there(since_start) < units {
            return None;
        }
        let mut due = units;
        let parts = self.0.oldest_first().map(|(slot, held)| {
            let part = held.min(due);
            due -= part;
            self.0.take_back(slot, part);
            (slot, part)
        });
        Some(Withdrawal(parts))
    }

    /// Puts units back into their slots; units of an expired slot are lost.
    pub(super) fn put_back(&mut self, withdrawal: &Withdrawal) {
        for (slot, part) in withdrawal.0 {
            self.0.put_back(slot, part);
        }
    }

    /// The units that have not expired.
    pub(super) fn there(&mut self, since_start: Duration) -> u64 {
        self.0.total(since_start)
    }
}

#[cfg(all(test, not(grpc_resilience_loom)))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn units_last_for_the_window_but_a_slot_at_least_and_for_the_window_at_most() {
        let mut units = Units::over(20 * SECOND);
        units.deposit(5, SECOND * 3 / 2);
        assert_eq!(units.there(SECOND * 41 / 2), 5, "19 s old");
        assert_eq!(units.there(SECOND * 21), 0, "19.5 s old, in a slot of 20");
    }

    #[test]
    fn the_oldest_units_go_first_and_come_back_to_where_they_were() {
        let mut units = Units::over(20 * SECOND);
        units.deposit(3, SECOND);
        units.deposit(3, 10 * SECOND);
        assert!(units.withdraw(7, 10 * SECOND).is_none());
        let four = units.withdraw(4, 10 * SECOND).unwrap();
        assert_eq!(units.there(10 * SECOND), 2);
        units.put_back(&four);
        assert_eq!(units.there(10 * SECOND), 6);
        assert_eq!(units.there(21 * SECOND), 3, "the first three are over");
        let late = units.withdraw(3, 21 * SECOND).unwrap();
        units.put_back(&four);
        assert_eq!(units.there(21 * SECOND), 1, "of four, three are lost");
        // The slot of 10 s is reused for 30 s.
        units.deposit(1, 30 * SECOND);
        units.put_back(&late);
        assert_eq!(units.there(30 * SECOND), 1);
    }

    // CONTRACT T10: one step for each elapsed slot would be 10^14 steps here
    #[test]
    fn centuries_without_a_call_take_no_more_steps_than_a_moment() {
        let mut units = Units::over(Duration::from_millis(1));
        units.deposit(9, Duration::ZERO);
        let idle = 365 * 24 * 3_600 * SECOND * 200;
        assert!(units.withdraw(1, idle).is_none());
        units.deposit(1, idle);
        assert!(units.withdraw(1, idle).is_some());
    }

    #[test]
    fn no_number_of_units_and_no_length_of_time_overflows() {
        for length in [Duration::ZERO, Duration::MAX] {
            let mut units = Units::over(length);
            for time in [Duration::ZERO, Duration::MAX] {
                units.deposit(u64::MAX, time);
                units.deposit(u64::MAX, time);
                let all = units.withdraw(u64::MAX, time).unwrap();
                units.deposit(1, time);
                units.put_back(&all);
                assert_eq!(units.there(time), u64::MAX);
            }
        }
    }
}
