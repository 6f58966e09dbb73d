//! The layers for servers, one folder each.

pub mod deadline;
pub mod leader_health;
pub mod raft;
pub mod rate_limit;
