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
mod deadline;
mod errors;
mod fast_path;
mod idempotency;
mod inner_service;
mod interceptor;
mod no_runtime;
mod pass_through;
mod rate_limit;
mod report;
mod retry;
mod server_deadline;
mod server_hints;
mod service_readiness;
mod smoke;
mod stack;
mod streams;
mod support;
mod tower_layers;
mod unprocessed;
mod wait_for_ready;
