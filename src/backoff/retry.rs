use std::time::Duration;

/// The retry, or the dial, before which a [`Backoff`](super::Backoff) waits.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Retry {
    /// Which retry it is since the start of the call, or since the server last said how long to
    /// wait; 1 is the first.
    pub number: u32,
    /// The delay that this curve gave before the last retry, zero before the first.
    pub previous: Duration,
    /// A random number in `[0, 1)`.
    pub unit: f64,
}

impl Retry {
    /// This retry, after a delay of `previous` before the last one.
    #[must_use]
    pub const fn new(number: u32, previous: Duration, unit: f64) -> Self {
        Self {
            number,
            previous,
            unit,
        }
    }

    /// The first retry, with a random number in the middle; for tests of curves.
    #[must_use]
    pub const fn first() -> Self {
        Self::new(1, Duration::ZERO, 0.5)
    }
}
