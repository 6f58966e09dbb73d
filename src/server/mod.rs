//! What servers need, one folder each.

pub mod deadline;
pub mod drain;
pub mod leader_health;
pub mod raft;
pub mod rate_limit;
