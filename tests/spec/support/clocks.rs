//! A paused clock where no test has one of its own.

use tokio::runtime::{Builder, Runtime};

/// A runtime on this thread whose clock is paused, as `#[transports::test(start_paused = true)]`
/// has it.
pub(crate) fn paused_runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}
