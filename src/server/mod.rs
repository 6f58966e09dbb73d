//! The layers for servers.

pub mod deadline;
pub mod rate_limit;
