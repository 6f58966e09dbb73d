//! Generated code of `leader.proto`.
#![allow(
    clippy::pedantic,
    dead_code,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    reason = "generated"
)]

/// The methods of the leader.
pub(crate) mod leader {
    tonic::include_proto!("vip_failover.v1");
}

tonic::include_proto!("chain.v1");
