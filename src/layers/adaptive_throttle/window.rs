use std::time::Duration;

/// How finely the window moves: it holds its length, or up to a sixtieth less.
const RING: usize = 60;
const SLOTS: u64 = RING as u64;

/// What was counted in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) accepts: u64,
    pub(super) shed: u64,
}

/// The number of a slot, counted from the start of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch(u64);

/// Counts over a window of time that moves on: a ring of slots and their sum. Knows no clock: the
/// time since its start is passed in.
pub(super) struct Window {
    length: Duration,
    /// The slot of now.
    epoch: u64,
    slots: [Counts; RING],
    total: Counts,
}

impl Counts {
    pub(super) const ACCEPTED: Self = Self::of(1, 1, 0);
    pub(super) const REFUSED: Self = Self::of(1, 0, 0);
    pub(super) const SHED: Self = Self::of(1, 0, 1);

    const fn of(requests: u64, accepts: u64, shed: u64) -> Self {
        Self {
            requests,
            accepts,
            shed,
        }
    }

    fn add(&mut self, more: Self) {
        self.requests += more.requests;
        self.accepts += more.accepts;
        self.shed += more.shed;
    }

    fn take(&mut self, less: Self) {
        self.requests -= less.requests;
        self.accepts -= less.accepts;
        self.shed -= less.shed;
    }
}

impl Window {
    /// An empty window of this length, which is not zero.
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            epoch: 0,
            slots: [Counts::default(); RING],
            total: Counts::default(),
        }
    }

    /// What it holds, so long after its start.
    pub(super) fn total(&mut self, elapsed: Duration) -> Counts {
        self.advance(elapsed);
        self.total
    }

    /// Counts something, in the slot of this time.
    pub(super) fn add(&mut self, elapsed: Duration, counts: Counts) -> Epoch {
        self.advance(elapsed);
        self.total.add(counts);
        self.slot(self.epoch).add(counts);
        Epoch(self.epoch)
    }

    /// Takes back an accept of that slot, unless it left the window.
    pub(super) fn take_back_accept(&mut self, elapsed: Duration, counted: Epoch) {
        self.advance(elapsed);
        if self.epoch - counted.0 < SLOTS {
            let accept = Counts::of(0, 1, 0);
            self.total.take(accept);
            self.slot(counted.0).take(accept);
        }
    }

    /// Moves on: what is too old leaves. At most once around, however long nothing happened.
    fn advance(&mut self, elapsed: Duration) {
        // Two callers may come in another order than they read the clock.
        let epoch = self.epoch_at(elapsed).max(self.epoch);
        for step in 0..(epoch - self.epoch).min(SLOTS) {
            let left = std::mem::take(self.slot(epoch - step));
            self.total.take(left);
        }
        self.epoch = epoch;
    }

    fn epoch_at(&self, elapsed: Duration) -> u64 {
        let epoch = elapsed.as_nanos() * u128::from(SLOTS) / self.length.as_nanos().max(1);
        u64::try_from(epoch).unwrap_or(u64::MAX)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder of `SLOTS` is an index of `RING` slots"
    )]
    fn slot(&mut self, epoch: u64) -> &mut Counts {
        &mut self.slots[(epoch % SLOTS) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn requests(window: &mut Window, seconds: u64) -> u64 {
        window
            .total(SECOND * u32::try_from(seconds).unwrap())
            .requests
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut window = Window::new(120 * SECOND);
        window.add(Duration::ZERO, Counts::REFUSED);
        window.add(60 * SECOND, Counts::REFUSED);
        assert_eq!(requests(&mut window, 119), 2);
        assert_eq!(requests(&mut window, 120), 1);
        assert_eq!(requests(&mut window, 179), 1);
        assert_eq!(requests(&mut window, 180), 0);
    }

    #[test]
    fn thirty_idle_days_leave_nothing_and_a_new_count_is_alone() {
        let mut window = Window::new(120 * SECOND);
        window.add(Duration::ZERO, Counts::ACCEPTED);
        let later = 30 * 24 * 3_600 * SECOND;
        assert_eq!(window.total(later), Counts::default());
        window.add(later, Counts::REFUSED);
        assert_eq!(window.total(later), Counts::REFUSED);
    }

    #[test]
    fn an_accept_is_taken_back_from_its_slot_and_not_once_that_is_gone() {
        let mut window = Window::new(60 * SECOND);
        let counted = window.add(Duration::ZERO, Counts::ACCEPTED);
        window.add(30 * SECOND, Counts::ACCEPTED);
        window.take_back_accept(30 * SECOND, counted);
        assert_eq!(window.total(30 * SECOND).accepts, 1);
        assert_eq!(window.total(60 * SECOND), Counts::ACCEPTED);
        window.take_back_accept(60 * SECOND, counted);
        assert_eq!(window.total(60 * SECOND), Counts::ACCEPTED);
    }

    #[test]
    fn the_shortest_and_the_longest_window_count() {
        for length in [Duration::from_nanos(1), Duration::MAX] {
            let mut window = Window::new(length);
            for elapsed in [Duration::ZERO, SECOND, Duration::MAX] {
                window.add(elapsed, Counts::ACCEPTED);
                assert!(window.total(elapsed).accepts >= 1, "{length:?}");
            }
        }
    }

    /// Every count with the time of its slot, looked through from the beginning.
    #[derive(Default)]
    struct Slow(Vec<(u64, Counts)>);

    impl Slow {
        fn total(&self, epoch: u64) -> Counts {
            let mut total = Counts::default();
            let inside = |counted: u64| counted + SLOTS > epoch;
            for (_, counts) in self.0.iter().filter(|(counted, _)| inside(*counted)) {
                total.add(*counts);
            }
            total
        }
    }

    fn step() -> impl Strategy<Value = (u64, u8)> {
        // Milliseconds until it, and what happens: an accept, a refusal, a shed call, a taken back accept.
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
            let (mut window, mut slow) = (Window::new(length), Slow::default());
            let mut now = Duration::ZERO;
            let mut last_accept: Option<(Epoch, usize)> = None;
            for (wait, what) in steps {
                now += Duration::from_millis(wait);
                let epoch = u64::try_from(now.as_millis()).unwrap() * SLOTS / (u64::from(seconds) * 1_000);
                let counts = match what {
                    0 => Counts::ACCEPTED,
                    1 => Counts::REFUSED,
                    2 => Counts::SHED,
                    _ => {
                        if let Some((counted, index)) = last_accept.take() {
                            window.take_back_accept(now, counted);
                            slow.0[index].1.accepts = 0;
                        }
                        prop_assert_eq!(window.total(now), slow.total(epoch));
                        continue;
                    }
                };
                let counted = window.add(now, counts);
                if what == 0 {
                    last_accept = Some((counted, slow.0.len()));
                }
                slow.0.push((epoch, counts));
                prop_assert_eq!(window.total(now), slow.total(epoch));
            }
        }
    }
}
