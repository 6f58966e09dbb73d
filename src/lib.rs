//! placeholder
pub mod backoff;
pub mod body;
pub mod call;
pub mod classify;
mod dispatch;
pub mod error;
pub mod grpc;
mod rng;
mod sync;

pub use error::{Error, GiveUp};
#[cfg(feature = "budget")]
pub mod budget;
#[cfg(feature = "idempotency")]
pub mod idempotency;
#[cfg(feature = "deadline")]
pub mod deadline;
#[cfg(feature = "retry")]
pub mod retry;
