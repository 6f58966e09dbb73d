//! The rules that only a raw HTTP/2 peer can show: what a transport error means, and what the retry
//! layer makes of it.
//!
//! The same files are a test of `tests/channel_only`, where tonic has no `server` feature. So they
//! need nothing that turns it on.
#![cfg(test)]

mod answers;
mod at_most_once;
mod ended_before_sent;
mod retry;
mod stack;
mod support;
mod verdict;

/// Whether tonic is built with its `server` feature: the other members of the workspace want it.
const SERVER_FEATURE: bool = !matches!(
    env!("CARGO_PKG_NAME").as_bytes(),
    b"grpc-resilience-channel-only"
);
