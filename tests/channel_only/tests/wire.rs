//! The tests of `tests/wire` once more, over a tonic without its `server` feature.
//!
//! Build it by itself, `cargo test -p grpc-resilience-channel-only`: together with the rest of the
//! workspace it would get that feature from others.

#[path = "../../wire/main.rs"]
mod wire;
