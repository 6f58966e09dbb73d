//! The layers, a folder each. They speak through [`call::Context`](crate::call::Context), never to
//! each other.

#[cfg(feature = "adaptive-throttle")]
pub mod adaptive_throttle;
#[cfg(feature = "attempt-timeout")]
pub mod attempt_timeout;
#[cfg(feature = "budget")]
pub mod budget;
#[cfg(feature = "deadline")]
pub mod deadline;
#[cfg(feature = "idempotency")]
pub mod idempotency;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(feature = "wait-for-ready")]
pub mod wait_for_ready;
