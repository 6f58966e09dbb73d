//! `Drain`: the steps in which a server stops, on a paused clock and in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod age;
mod connections;
#[path = "../channel/common/log.rs"]
mod ear;
mod events;
mod hooks;
mod load;
mod log;
mod signals;
mod site;
mod steps;
mod stuck;
mod watches;
