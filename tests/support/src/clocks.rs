//! Spans of time, and a paused clock.

use std::time::Duration;

/// One second.
pub const SECOND: Duration = Duration::from_secs(1);

/// A duration in milliseconds.
#[must_use]
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Lets every task run until all of them wait; on a paused clock this costs a millisecond of it.
pub async fn settle() {
    tokio::time::sleep(ms(1)).await;
}
