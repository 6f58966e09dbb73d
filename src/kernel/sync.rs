//! The only place that chooses between the real primitives and loom's models of them.

#[cfg(all(feature = "budget", grpc_resilience_loom))]
pub(crate) use loom::sync::atomic::AtomicU32;
#[cfg(all(feature = "budget", not(grpc_resilience_loom)))]
pub(crate) use std::sync::atomic::AtomicU32;

#[cfg(all(feature = "wait-for-ready", grpc_resilience_loom))]
pub(crate) use loom::sync::atomic::AtomicBool;
#[cfg(all(
    any(feature = "rate-limit", feature = "wait-for-ready"),
    grpc_resilience_loom
))]
pub(crate) use loom::sync::atomic::AtomicU64;
#[cfg(all(feature = "wait-for-ready", not(grpc_resilience_loom)))]
pub(crate) use std::sync::atomic::AtomicBool;
#[cfg(all(
    any(feature = "rate-limit", feature = "wait-for-ready"),
    not(grpc_resilience_loom)
))]
pub(crate) use std::sync::atomic::AtomicU64;

pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};

use std::sync::PoisonError;

#[cfg(grpc_resilience_loom)]
use loom::sync as locks;
#[cfg(not(grpc_resilience_loom))]
use std::sync as locks;

pub(crate) use locks::MutexGuard;

/// A mutex without poisoning: what it guards here is never left half-written.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(locks::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(locks::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
