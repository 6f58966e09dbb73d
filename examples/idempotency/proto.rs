//! Generated code of `depot.proto`, with the table `depot_methods`.
#![allow(
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    reason = "generated"
)]

tonic::include_proto!("depot.v1");
