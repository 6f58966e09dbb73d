use crate::kernel::sync::{AtomicU64, Ordering};

/// The counts of a [`ServerRateLimitLayer`](super::ServerRateLimitLayer), for all quotas and keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimitSnapshot {
    /// Requests that were admitted.
    pub admitted: u64,
    /// Requests that were refused with RESOURCE_EXHAUSTED.
    pub refused: u64,
    /// Refused requests with the promise of a cell.
    pub promised: u64,
    /// Promises that were kept: a caller returned in time and was admitted.
    pub kept: u64,
    /// Promises for which no caller returned. Those that are neither kept nor lapsed still stand.
    pub lapsed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) admitted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) promised: AtomicU64,
    pub(super) kept: AtomicU64,
    pub(super) lapsed: AtomicU64,
}

impl Counters {
    pub(super) fn snapshot(&self) -> RateLimitSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RateLimitSnapshot {
            admitted: read(&self.admitted),
            refused: read(&self.refused),
            promised: read(&self.promised),
            kept: read(&self.kept),
            lapsed: read(&self.lapsed),
        }
    }
}

pub(super) fn count(counter: &AtomicU64, by: u64) {
    if by > 0 {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}
