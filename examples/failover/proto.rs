//! Generated code of `kv.proto` and `raft.proto`.
#![allow(
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    reason = "generated"
)]

tonic::include_proto!("failover.v1");
