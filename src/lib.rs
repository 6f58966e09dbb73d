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
