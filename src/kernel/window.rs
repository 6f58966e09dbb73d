use std::time::Duration;

/// A value that a window sums up.
pub(crate) trait Tally: Copy + Default {
    fn add(&mut self, more: Self);

    /// Subtracts an earlier addition.
    fn take(&mut self, less: Self);
}

impl Tally for u64 {
    fn add(&mut self, more: Self) {
        *self = self.saturating_add(more);
    }

    fn take(&mut self, less: Self) {
        *self = self.saturating_sub(less);
    }
}

/// The number of a slot, counted from the start of the window's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotNumber(u64);

/// Sums over a sliding window of time: a ring of slots, and their total.
///
/// An addition counts for the window's length, or up to one slot less. The window reads no clock:
/// the time since its start is passed in, and a time that goes back counts as the latest one. Each
/// function takes at most `SLOTS` steps, after any idle time.
#[derive(Clone, Debug)]
pub(crate) struct Window<T, const SLOTS: usize> {
    /// The nanoseconds of a slot, one at least.
    width: u128,
    newest: u64,
    slots: [T; SLOTS],
    total: T,
}

impl<T: Tally, const SLOTS: usize> Window<T, SLOTS> {
    /// An empty window of this length.
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            width: (length.as_nanos() / SLOTS as u128).max(1),
            newest: 0,
            slots: [T::default(); SLOTS],
            total: T::default(),
        }
    }

    /// The sum at `elapsed` after its start.
    pub(crate) fn total(&mut self, elapsed: Duration) -> T {
        self.advance(elapsed);
        self.total
    }

    /// Adds to the slot of this time.
    pub(crate) fn add(&mut self, elapsed: Duration, more: T) -> SlotNumber {
        self.advance(elapsed);
        let newest = SlotNumber(self.newest);
        self.put_back(newest, more);
        newest
    }

    /// Adds to a slot, unless it has left the window.
    pub(crate) fn put_back(&mut self, slot: SlotNumber, more: T) {
        if self.holds(slot) {
            self.total.add(more);
            self.slot(slot.0).add(more);
        }
    }

    /// Subtracts an earlier addition from its slot, unless the slot has left the window.
    pub(crate) fn take_back(&mut self, slot: SlotNumber, less: T) {
        if self.holds(slot) {
            self.total.take(less);
            self.slot(slot.0).take(less);
        }
    }

    /// Each slot in the window, oldest first.
    pub(crate) fn oldest_first(&self) -> [(SlotNumber, T); SLOTS] {
        std::array::from_fn(|place| {
            let age = (SLOTS - 1 - place) as u64;
            let number = self.newest.checked_sub(age);
            let number = number.map(|number| (number, self.slots.get(Self::place(number))));
            match number {
                Some((number, Some(held))) => (SlotNumber(number), *held),
                _ => Default::default(),
            }
        })
    }

    fn holds(&self, slot: SlotNumber) -> bool {
        self.newest - slot.0.min(self.newest) < SLOTS as u64
    }

    /// Moves the window on and drops the slots that leave it.
    fn advance(&mut self, elapsed: Duration) {
        // Two callers may arrive in another order than they read the clock.
        let newest = self.number_at(elapsed).max(self.newest);
        for step in 0..(newest - self.newest).min(SLOTS as u64) {
            let left = std::mem::take(self.slot(newest - step));
            self.total.take(left);
        }
        self.newest = newest;
    }

    fn number_at(&self, elapsed: Duration) -> u64 {
        let number = elapsed.as_nanos() / self.width;
        u64::try_from(number).unwrap_or(u64::MAX)
    }

    fn place(number: u64) -> usize {
        usize::try_from(number % SLOTS as u64).unwrap_or_default()
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder of `SLOTS` is an index of `SLOTS` slots"
    )]
    fn slot(&mut self, number: u64) -> &mut T {
        &mut self.slots[Self::place(number)]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SLOTS: usize = 60;

    fn window(length: Duration) -> Window<u64, SLOTS> {
        Window::new(length)
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut window = window(120 * SECOND);
        window.add(Duration::ZERO, 1);
        window.add(60 * SECOND, 1);
        let seconds = [119, 120, 179, 180];
        let totals = seconds.map(|seconds| window.total(seconds * SECOND));
        assert_eq!(totals, [2, 1, 1, 0]);
    }

    #[test]
    fn thirty_idle_days_leave_nothing_and_a_new_count_is_alone() {
        let mut window = window(120 * SECOND);
        window.add(Duration::ZERO, 1);
        let later = 30 * 24 * 3_600 * SECOND;
        assert_eq!(window.total(later), 0);
        window.add(later, 2);
        assert_eq!(window.total(later), 2);
    }

    #[test]
    fn time_that_goes_back_stands_still() {
        let mut window = window(20 * SECOND);
        window.add(100 * SECOND, 1);
        window.add(SECOND, 1);
        assert_eq!(window.total(SECOND), 2);
    }

    #[test]
    fn the_shortest_and_the_longest_window_count() {
        for length in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let mut window = window(length);
            for elapsed in [Duration::ZERO, SECOND, Duration::MAX] {
                window.add(elapsed, 1);
                assert!(window.total(elapsed) >= 1, "{length:?}");
            }
        }
    }

    /// A full list of additions and their slots: the model that the ring is compared with.
    #[derive(Default)]
    struct Slow(Vec<(u64, u64)>);

    impl Slow {
        fn total(&self, newest: u64) -> u64 {
            let inside = |number: u64| number + SLOTS as u64 > newest;
            let live = self.0.iter().filter(|(number, _)| inside(*number));
            live.map(|(_, held)| held).sum()
        }
    }

    fn step() -> impl Strategy<Value = (u64, u8)> {
        // Milliseconds until the step, and its kind: add, take back or put back.
        let wait = prop_oneof![
            5 => 0..3_000_u64,
            2 => 0..60_000_u64,
            1 => Just(30 * 24 * 3_600_000_u64),
        ];
        (wait, 0..4_u8)
    }

    proptest! {
        #[test]
        fn the_ring_holds_what_a_full_record_says(
            steps in proptest::collection::vec(step(), 0..200), seconds in 1..200_u32,
        ) {
            let length = seconds * SECOND;
            let (mut window, mut slow) = (window(length), Slow::default());
            let mut now = Duration::ZERO;
            let mut last: Option<(SlotNumber, usize)> = None;
            for (wait, what) in steps {
                now += Duration::from_millis(wait);
                let width = length.as_nanos() / SLOTS as u128;
                let newest = u64::try_from(now.as_nanos() / width).unwrap();
                prop_assert_eq!(window.total(now), slow.total(newest));
                match (what, last) {
                    (0, Some((slot, index))) => {
                        window.take_back(slot, slow.0[index].1);
                        slow.0[index].1 = 0;
                    }
                    (1, Some((slot, index))) => {
                        window.put_back(slot, 2);
                        slow.0[index].1 += 2;
                    }
                    _ => {
                        last = Some((window.add(now, 3), slow.0.len()));
                        slow.0.push((newest, 3));
                    }
                }
                prop_assert_eq!(window.total(now), slow.total(newest));
                let slots = window.oldest_first();
                prop_assert!(slots.windows(2).all(|pair| pair[0].0.0 <= pair[1].0.0));
                let sum: u64 = slots.iter().map(|(_, held)| held).sum();
                prop_assert_eq!(sum, slow.total(newest));
            }
        }
    }
}
