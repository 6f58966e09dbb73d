//! Spans of time, and a paused clock.

use std::time::Duration;

use tokio::time::sleep;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Lets every task run until all of them wait; on a paused clock this costs a millisecond of it.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}
