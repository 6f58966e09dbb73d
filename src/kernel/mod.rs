//! What every room stands on: time, random numbers, locks and atomics. Private.

#[cfg(feature = "budget")]
pub(crate) mod clock;
#[cfg(any(
    feature = "adaptive-throttle",
    feature = "idempotency",
    feature = "retry",
    feature = "wait-for-ready"
))]
pub(crate) mod rng;
#[cfg(any(feature = "deadline", feature = "retry"))]
pub(crate) mod striped;
pub(crate) mod sync;
#[cfg(any(
    feature = "attempt-timeout",
    feature = "deadline",
    feature = "rate-limit",
    feature = "retry",
    feature = "server-deadline",
    feature = "wait-for-ready"
))]
#[cfg_attr(
    not(feature = "stack"),
    allow(dead_code, reason = "a layer by itself needs some of it only")
)]
pub(crate) mod timer;
#[cfg(any(feature = "adaptive-throttle", feature = "budget"))]
pub(crate) mod window;
