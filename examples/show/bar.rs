//! A progress bar over time, or lines where there is no terminal to draw it on.

use std::io::{IsTerminal, stdout};
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::Failure;

const TEMPLATE: &str = "{prefix:<44} [{bar:30}] {percent:>3} %  {msg}";
const TICK: Duration = Duration::from_millis(100);
/// Between two lines.
const LINE: Duration = Duration::from_secs(15);

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
    let is_drawn = stdout().is_terminal();
    if !is_drawn {
        bar.set_draw_target(ProgressDrawTarget::hidden());
        eprintln!("{name}: {length:?}");
    }
    let (mut work, started) = (pin!(work), Instant::now());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut next_line = LINE;
    loop {
        tokio::select! {
            done = &mut work => {
                bar.abandon_with_message("done");
                return Ok(done);
            }
            _ = ticks.tick() => {
                let elapsed = started.elapsed();
                bar.set_position(millis(elapsed));
                if !is_drawn && elapsed >= next_line {
                    eprintln!("{name}: {next_line:?} of {length:?}");
                    next_line += LINE;
                }
            }
        }
    }
}
