//! The rules of the crate, each as a test over a real tonic server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails in a test's helper fails the test"
)]

mod adaptive_throttle;
mod attempt_timeout;
mod budget;
mod common;
mod deadline;
mod errors;
mod hints;
mod idempotency;
mod identity;
mod interceptor;
mod no_runtime;
mod ordinary;
mod rate_limit;
mod readied;
mod report;
mod retry;
mod server_deadline;
mod smoke;
mod stack;
mod streams;
mod support;
mod tower_layers;
mod unprocessed;
mod wait_for_ready;
