//! The only place that chooses between the real primitives and loom's models of them.

#[cfg(all(feature = "budget", grpc_resilience_loom))]
pub(crate) use loom::sync::atomic::AtomicU32;
#[cfg(all(feature = "budget", not(grpc_resilience_loom)))]
pub(crate) use std::sync::atomic::AtomicU32;

#[cfg(feature = "rate-limit")]
pub(crate) use std::sync::atomic::AtomicU64;
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};

use std::sync::{MutexGuard, PoisonError};

/// A mutex without poisoning: what it guards here is never left half-written.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
