//! What the crate says by `tracing`: the one place that knows the target, the fields and the words.
//!
//! A call that is answered at its first attempt says nothing, and asks nobody whether it should.

#[cfg(feature = "budget")]
mod budget;
mod call;
mod channel;
mod configuration;
mod once;
#[cfg(any(feature = "rate-limit", feature = "server-deadline"))]
mod server;

#[cfg(feature = "budget")]
pub(crate) use budget::{budget_is_back, budget_is_empty};
pub(crate) use call::{Failed, gave_up, retries, waits};
#[cfg(feature = "wait-for-ready")]
pub(crate) use channel::{calls_released, channel_is_back, channel_is_down, channel_is_shut_down};
pub(crate) use configuration::*;
pub(crate) use once::Once;
#[cfg(any(feature = "rate-limit", feature = "server-deadline"))]
pub(crate) use server::*;

/// The target of all events, whatever module they come from.
const TARGET: &str = "grpc_resilience";
