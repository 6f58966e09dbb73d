use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::sync::Mutex;

/// What a call is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// It waits for the inner service to take it.
    Queued = 0,
    /// An attempt is under way and has no answer yet.
    Attempt = 1,
    /// It waits between two attempts.
    Backoff = 2,
    /// It waits for the channel to get ready.
    NotReady = 3,
    /// The answer has begun and is not at its end.
    Response = 4,
    /// It waits for what the user runs before each attempt.
    Preparing = 5,
}

impl Phase {
    const ALL: [Self; 6] = [
        Self::Queued,
        Self::Attempt,
        Self::Backoff,
        Self::NotReady,
        Self::Response,
        Self::Preparing,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued for the inner service",
            Self::Attempt => "waiting for the answer to an attempt",
            Self::Backoff => "waiting before the next attempt",
            Self::NotReady => "waiting for the channel, which never got ready",
            Self::Response => "reading the response",
            Self::Preparing => "preparing the next attempt",
        })
    }
}

/// What happened to a call so far, shared by the layers that it passes; so that an expiry can say
/// in which phase it came and after which error.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    phase: AtomicU8,
    attempts: AtomicU32,
    last_failure: Mutex<Option<Arc<dyn std::error::Error + Send + Sync>>>,
}

impl Trace {
    /// Says what the call does from now on.
    pub fn enter(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// What the call does now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let number = usize::from(self.0.phase.load(Ordering::Relaxed));
        Phase::ALL.get(number).copied().unwrap_or(Phase::Queued)
    }

    /// Says that this attempt starts, counted from 1.
    pub fn attempt(&self, number: u32) {
        self.0.attempts.store(number, Ordering::Relaxed);
    }

    /// How many attempts were started; 0 if no retry layer counts them.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts.load(Ordering::Relaxed)
    }

    /// Keeps the error of an attempt that failed and will be followed by another.
    pub fn failed(&self, error: Arc<dyn std::error::Error + Send + Sync>) {
        *self.0.last_failure.lock() = Some(error);
    }

    /// The error of the last attempt that failed.
    #[must_use]
    pub fn last_failure(&self) -> Option<Arc<dyn std::error::Error + Send + Sync>> {
        self.0.last_failure.lock().clone()
    }
}
