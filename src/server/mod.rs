//! The layers for servers.

#[cfg(feature = "server-deadline")]
pub mod deadline;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
