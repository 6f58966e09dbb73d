use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::events;

/// A layer that acts on call options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Deadline = 1,
    Retry = 2,
    Wait = 4,
    AttemptTimeout = 8,
    /// A layer that acts on no option.
    Other = 16,
    /// This crate's own channel.
    Channel = 128,
}

/// A layer holds the call back: the layers below it do not count as missing.
const IS_HELD: u16 = 32;
/// The options were compared with the layers already, or a copy has replaced them.
const IS_TOLD: u16 = 64;

impl Reader {
    /// All layers that apply the timeout of a call.
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
            Self::Other => "layer",
            Self::Channel => "channel::Channel",
        }
    }
}

/// The options that a warning has named.
static TOLD: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());

/// The layers that have seen a call with options.
#[derive(Debug, Default)]
pub(super) struct Seen(AtomicU16);

impl Seen {
    pub(super) const fn by_nobody() -> Self {
        Self(AtomicU16::new(0))
    }

    pub(super) fn add(&self, layer: Reader) {
        self.0.fetch_or(layer as u16, Ordering::Relaxed);
    }

    pub(super) fn hold(&self, is_held: bool) {
        if is_held {
            self.0.fetch_or(IS_HELD, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!IS_HELD, Ordering::Relaxed);
        }
    }

    /// Whether a layer saw the call and none holds it back; true once.
    pub(super) fn take_complete(&self) -> bool {
        let seen = self.0.load(Ordering::Relaxed);
        let is_complete = seen != 0 && seen & (IS_HELD | IS_TOLD) == 0;
        if is_complete {
            self.0.fetch_or(IS_TOLD, Ordering::Relaxed);
        }
        is_complete
    }

    /// Warns that this option had no effect, because none of these layers has seen it: once in the
    /// life of the process.
    pub(super) fn missed(&self, option: &'static str, by: &[Reader]) {
        let seen = self.0.load(Ordering::Relaxed);
        let is_seen = by.iter().any(|layer| seen & *layer as u16 != 0);
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

/// A layer that changes the options of a call works on a copy. The layers below see the copy, so
/// the original must not warn any more.
impl Clone for Seen {
    fn clone(&self) -> Self {
        let seen = self.0.load(Ordering::Relaxed);
        if seen != 0 {
            self.0.fetch_or(IS_TOLD, Ordering::Relaxed);
        }
        Self(AtomicU16::new(seen & !IS_TOLD))
    }
}
