use std::time::Duration;

use tokio::time::Instant;

/// A row of failed dials that no answer has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) since: Instant,
    pub(crate) next_dial: Instant,
    pub(crate) dials: u32,
    pub(crate) previous: Duration,
    /// The last dial made a connection that was lost before any answer.
    pub(crate) was_lost: bool,
}

/// The longest pause, for a wait that overflows an [`Instant`].
const FAR: Duration = Duration::from_secs(365 * 86_400);

impl Outage {
    pub(crate) fn since(now: Instant) -> Self {
        Self {
            since: now,
            next_dial: now,
            dials: 0,
            previous: Duration::ZERO,
            was_lost: false,
        }
    }

    /// Adds a failed dial; the next one is due `wait` after `from`.
    pub(crate) fn left_alone(self, wait: Duration, from: Instant) -> Self {
        Self {
            dials: self.dials.saturating_add(1),
            previous: wait,
            next_dial: after(from, wait),
            was_lost: false,
            ..self
        }
    }

    /// Adds a failed dial; the next one is due at once, without a step of the backoff.
    pub(crate) fn at_once(self, now: Instant) -> Self {
        Self {
            dials: self.dials.saturating_add(1),
            next_dial: now,
            was_lost: false,
            ..self
        }
    }

    /// Makes the next dial due now and restarts the backoff.
    pub(crate) fn reset(self, now: Instant) -> Self {
        Self {
            since: self.since,
            ..Self::since(now)
        }
    }
}

pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait)
        .or_else(|| now.checked_add(FAR))
        .unwrap_or(now)
}
