use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::events;

/// A layer that acts on call options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Deadline = 1,
    Retry = 2,
    Wait = 4,
    AttemptTimeout = 8,
}

impl Reader {
    /// Each of them obeys the timeout of a call.
    pub(crate) const ALL: [Self; 4] = [
        Self::Deadline,
        Self::Retry,
        Self::Wait,
        Self::AttemptTimeout,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Deadline => "DeadlineLayer",
            Self::Retry => "RetryLayer",
            Self::Wait => "WaitForReadyLayer",
            Self::AttemptTimeout => "AttemptTimeoutLayer",
        }
    }
}

/// The options of which it was told that their layer is missing.
static TOLD: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());

/// Which of them have seen a call with options.
#[derive(Debug, Default)]
pub(super) struct Seen(AtomicU8);

impl Seen {
    pub(super) const fn by_nobody() -> Self {
        Self(AtomicU8::new(0))
    }

    pub(super) fn add(&self, layer: Reader) {
        self.0.fetch_or(layer as u8, Ordering::Relaxed);
    }

    /// Tells once in the life of the process that this option had no effect, because none of these
    /// layers has seen it.
    pub(super) fn missed(&self, option: &'static str, by: &[Reader]) {
        let seen = self.0.load(Ordering::Relaxed);
        let is_seen = by.iter().any(|layer| seen & *layer as u8 != 0);
        if let (false, Some(layer)) = (is_seen, by.first())
            && TOLD
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(option)
        {
            events::option_without_layer(option, layer.name());
        }
    }
}

/// The options of another call, which is seen anew.
impl Clone for Seen {
    fn clone(&self) -> Self {
        Self(AtomicU8::new(self.0.load(Ordering::Relaxed)))
    }
}
