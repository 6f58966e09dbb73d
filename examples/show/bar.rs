//! A progress bar over time, or a line a run where there is no terminal to draw it on.

use std::io::{IsTerminal, stdout};
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::Failure;

const TEMPLATE: &str = "{prefix:<44} [{bar:30}] {percent:>3} %  {msg}";
const TICK: Duration = Duration::from_millis(100);

/// Does work that takes about this long, under a bar with this name.
///
/// # Errors
///
/// The bar could not be made.
pub async fn watch<F: Future>(name: &str, length: Duration, work: F) -> Result<F::Output, Failure> {
    let style = ProgressStyle::with_template(TEMPLATE)?.progress_chars("=> ");
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let bar = ProgressBar::new(millis(length))
        .with_style(style)
        .with_prefix(name.to_owned());
    if !stdout().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
        eprintln!("{name}: {length:?}");
    }
    let (mut work, started) = (pin!(work), Instant::now());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            done = &mut work => {
                bar.abandon_with_message("done");
                return Ok(done);
            }
            _ = ticks.tick() => bar.set_position(millis(started.elapsed())),
        }
    }
}
