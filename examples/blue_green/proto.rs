//! Generated code of `greeter.proto`.
#![allow(
    clippy::pedantic,
    dead_code,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    reason = "generated"
)]

tonic::include_proto!("blue_green.v1");
