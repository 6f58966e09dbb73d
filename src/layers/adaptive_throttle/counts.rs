use crate::kernel::window::{self, Tally};

/// Resolution of the window: it covers its length, or up to a sixtieth less.
const SLOTS: usize = 60;

pub(super) type Window = window::Window<Counts, SLOTS>;

/// The counts of a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) accepts: u64,
    pub(super) shed: u64,
}

impl Counts {
    pub(super) const ACCEPTED: Self = Self::of(1, 1, 0);
    pub(super) const REFUSED: Self = Self::of(1, 0, 0);
    pub(super) const SHED: Self = Self::of(1, 0, 1);
    /// The excess of a call that was counted as accepted, but was refused.
    pub(super) const WRONG_ACCEPT: Self = Self::of(0, 1, 0);

    const fn of(requests: u64, accepts: u64, shed: u64) -> Self {
        Self {
            requests,
            accepts,
            shed,
        }
    }
}

impl Tally for Counts {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_accept_is_taken_back_from_its_slot_and_not_once_that_is_gone() {
        let mut window = Window::new(60 * SECOND);
        let counted = window.add(Duration::ZERO, Counts::ACCEPTED);
        window.add(30 * SECOND, Counts::ACCEPTED);
        window.take_back(counted, Counts::WRONG_ACCEPT);
        assert_eq!(window.total(30 * SECOND).accepts, 1);
        assert_eq!(window.total(60 * SECOND), Counts::ACCEPTED);
        window.take_back(counted, Counts::WRONG_ACCEPT);
        assert_eq!(window.total(60 * SECOND), Counts::ACCEPTED);
    }
}
