//! The retry loop that a user writes by hand over a bare tonic channel.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Status};

/// How long a call may take, with all its attempts; the time that the README gives its stack.
pub const TIMEOUT: Duration = Duration::from_secs(5);

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// Calls until an attempt ends with anything but UNAVAILABLE, or [`TIMEOUT`] is over.
///
/// The pauses are those of `RetryPolicy`: 100 ms doubling to 1 s, full jitter.
///
/// # Errors
///
/// The last attempt's status, or DEADLINE_EXCEEDED.
pub async fn call<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let deadline = Instant::now() + TIMEOUT;
    let mut pause = FIRST;
    loop {
        let status = match timeout_at(deadline, attempt()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(status)) => status,
            Err(_) => return Err(Status::deadline_exceeded("by the hand-written loop")),
        };
        let next = Instant::now() + pause.mul_f64(rand::random());
        if status.code() != Code::Unavailable || next >= deadline {
            return Err(status);
        }
        sleep(next - Instant::now()).await;
        pause = LONGEST.min(pause * 2);
    }
}
