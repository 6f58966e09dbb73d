//! Generated code of `chain.proto`, with the table `link_methods`.
#![allow(
    clippy::pedantic,
    dead_code,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    reason = "generated"
)]

tonic::include_proto!("chain.v1");
