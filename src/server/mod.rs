//! What servers need, one folder each.

pub mod deadline;
pub mod drain;
pub mod rate_limit;
