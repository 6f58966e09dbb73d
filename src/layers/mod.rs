//! The layers, one folder each. Layers communicate through
//! [`call::Context`](crate::call::Context) and never depend on each other.

pub mod adaptive_throttle;
pub mod attempt_timeout;
pub mod budget;
pub mod deadline;
pub mod idempotency;
pub mod retry;
pub mod wait_for_ready;
