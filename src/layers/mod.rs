//! The layers, a folder each. They speak through [`call::Context`](crate::call::Context), never to
//! each other.

pub mod adaptive_throttle;
pub mod attempt_timeout;
pub mod budget;
pub mod deadline;
pub mod idempotency;
pub mod retry;
pub mod wait_for_ready;
