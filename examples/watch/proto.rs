//! Generated code of `watch.proto`.
#![allow(
    clippy::pedantic,
    dead_code,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    reason = "generated"
)]

tonic::include_proto!("watch.v1");
