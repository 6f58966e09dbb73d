use std::time::Duration;

/// What came in lasts for the whole window at most, and for all of it but one slot at least: 95 %.
const SLOTS: u8 = 20;

/// Units that came in over the last while, and go with time.
///
/// A ring of slots that each bear the number of their time since the start: one that is over is told
/// by its number, so that no time has to be made up for, however long nothing happened. Each
/// function takes a constant number of steps.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// The nanoseconds of a slot, one at least.
    width: u128,
    newest: u64,
    slots: [Slot; SLOTS as usize],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: u64,
    units: u64,
}

/// What was taken, slot by slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Withdrawal([Slot; SLOTS as usize]);

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            width: (length.as_nanos() / u128::from(SLOTS)).max(1),
            newest: 0,
            slots: Default::default(),
        }
    }

    /// Adds units at this time since the start. A slot holds up to `u64::MAX`; more is lost.
    pub(super) fn deposit(&mut self, units: u64, since_start: Duration) {
        let number = self.number(since_start);
        if let Some(slot) = self.slots.get_mut(place(number)) {
            if slot.number != number {
                *slot = Slot { number, units: 0 };
            }
            slot.units = slot.units.saturating_add(units);
        }
    }

    /// Takes units, the oldest first; `None` if there are not enough.
    pub(super) fn withdraw(&mut self, units: u64, since_start: Duration) -> Option<Withdrawal> {
        if self.units(since_start) < units {
            return None;
        }
        let newest = self.newest;
        let before = self.slots;
        let mut due = units;
        // Behind the newest slot stands the oldest.
        let (newer, older) = self.slots.split_at_mut(place(newest.saturating_add(1)));
        for slot in older.iter_mut().chain(newer) {
            let part = if slot.is_live(newest) {
                slot.units.min(due)
            } else {
                0
            };
            slot.units -= part;
            due -= part;
        }
        let mut taken = before;
        for (slot, left) in taken.iter_mut().zip(&self.slots) {
            slot.units -= left.units;
        }
        Some(Withdrawal(taken))
    }

    /// Puts units back where they came from; lost are those whose slot is over.
    pub(super) fn put_back(&mut self, withdrawal: &Withdrawal) {
        for (slot, taken) in self.slots.iter_mut().zip(&withdrawal.0) {
            if slot.number == taken.number {
                slot.units = slot.units.saturating_add(taken.units);
            }
        }
    }

    /// What is there.
    pub(super) fn units(&mut self, since_start: Duration) -> u64 {
        let newest = self.number(since_start);
        let live = self.slots.iter().filter(|slot| slot.is_live(newest));
        live.fold(0, |sum, slot| sum.saturating_add(slot.units))
    }

    /// The slot of this time, which never goes back.
    fn number(&mut self, since_start: Duration) -> u64 {
        let number = since_start.as_nanos() / self.width;
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        self.newest = self.newest.max(number);
        self.newest
    }
}

impl Slot {
    fn is_live(&self, newest: u64) -> bool {
        newest.saturating_sub(self.number) < u64::from(SLOTS)
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % u64::from(SLOTS)).unwrap_or_default()
}

#[cfg(not(grpc_resilience_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn units_last_for_the_window_but_a_slot_at_least_and_for_the_window_at_most() {
        let mut window = Window::new(20 * SECOND);
        window.deposit(5, SECOND * 3 / 2);
        assert_eq!(window.units(SECOND * 41 / 2), 5, "19 s old");
        assert_eq!(window.units(SECOND * 21), 0, "19.5 s old, in a slot of 20");
    }

    #[test]
    fn the_oldest_units_go_first_and_come_back_to_where_they_were() {
        let mut window = Window::new(20 * SECOND);
        window.deposit(3, SECOND);
        window.deposit(3, 10 * SECOND);
        assert!(window.withdraw(7, 10 * SECOND).is_none());
        let four = window.withdraw(4, 10 * SECOND).unwrap();
        assert_eq!(window.units(10 * SECOND), 2);
        window.put_back(&four);
        assert_eq!(window.units(10 * SECOND), 6);
        assert_eq!(window.units(21 * SECOND), 3, "the first three are over");
        let late = window.withdraw(3, 21 * SECOND).unwrap();
        window.put_back(&four);
        assert_eq!(window.units(21 * SECOND), 1, "of four, three are lost");
        // The slot of 10 s is that of 30 s now.
        window.deposit(1, 30 * SECOND);
        window.put_back(&late);
        assert_eq!(window.units(30 * SECOND), 1);
    }

    // CONTRACT T10: a step for each slot that went by would be 10^14 of them here
    #[test]
    fn centuries_without_a_call_take_no_more_steps_than_a_moment() {
        let mut window = Window::new(Duration::from_millis(1));
        window.deposit(9, Duration::ZERO);
        let idle = 365 * 24 * 3_600 * SECOND * 200;
        assert!(window.withdraw(1, idle).is_none());
        window.deposit(1, idle);
        assert!(window.withdraw(1, idle).is_some());
    }

    #[test]
    fn no_number_of_units_and_no_length_of_time_overflows() {
        for length in [Duration::ZERO, Duration::MAX] {
            let mut window = Window::new(length);
            for time in [Duration::ZERO, Duration::MAX] {
                window.deposit(u64::MAX, time);
                window.deposit(u64::MAX, time);
                let all = window.withdraw(u64::MAX, time).unwrap();
                window.deposit(1, time);
                window.put_back(&all);
                assert_eq!(window.units(time), u64::MAX);
            }
        }
    }

    #[test]
    fn time_that_goes_back_stands_still() {
        let mut window = Window::new(20 * SECOND);
        window.deposit(1, 100 * SECOND);
        window.deposit(1, SECOND);
        assert_eq!(window.units(SECOND), 2);
    }
}
