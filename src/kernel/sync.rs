//! The only place that chooses between the real primitives and loom's models of them.

#[cfg(grpc_resilience_loom)]
use loom::sync as primitives;
#[cfg(not(grpc_resilience_loom))]
use std::sync as primitives;

use std::sync::PoisonError;

pub(crate) use primitives::MutexGuard;
pub(crate) use primitives::atomic::{AtomicBool, AtomicU32, AtomicU64};
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};

/// A mutex without poisoning: a panic never leaves its value half-written.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(primitives::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(primitives::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
