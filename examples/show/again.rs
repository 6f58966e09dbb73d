//! A second try for figures that a busy machine spoils.

use std::fs;

use super::promise::Promise;
use crate::Failure;

/// Runs an experiment, and once more if it broke promises, all of which are about times.
///
/// # Errors
///
/// Those of the experiment.
pub async fn unless_busy(
    mut run: impl AsyncFnMut() -> Result<Vec<Promise>, Failure>,
) -> Result<Vec<Promise>, Failure> {
    let promises = run().await?;
    let mut broken = promises.iter().filter(|promise| !promise.kept).peekable();
    if broken.peek().is_none() || !broken.all(|promise| promise.is_time) {
        return Ok(promises);
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    eprintln!("\nOnce more: only times are over their limits, and the machine's load is {load}.");
    run().await
}
