//! The layers for servers, one folder each.

pub mod deadline;
pub mod rate_limit;
