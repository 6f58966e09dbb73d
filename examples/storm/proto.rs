//! Generated code of `storm.proto`.
#![allow(
    clippy::pedantic,
    dead_code,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    reason = "generated"
)]

tonic::include_proto!("storm.v1");
