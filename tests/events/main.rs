//! What the crate says by `tracing`, heard by a subscriber of these tests' own.
//!
//! In a binary of their own: some things are said once in the life of a process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails in a test's helper fails the test"
)]

mod alone;
mod budget;
mod calls;
mod channel;
mod configuration;
mod front_page;
mod missing_layers;
mod options;
mod server;
mod support;
