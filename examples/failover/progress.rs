//! The progress bar, on stderr.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use grpc_resilience_examples::Failure;

const TEMPLATE: &str = "{prefix:<24} [{bar:24}] {pos:>2}/{len} kills  {calls:>7} calls  {failed:>6} declared ones failed  {elapsed}";

/// Shows one client's run; clones share the bar.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    calls: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl Progress {
    pub(crate) fn start(client: &'static str, kills: u32) -> Result<Self, Failure> {
        let calls = Arc::<AtomicU64>::default();
        let failed = Arc::<AtomicU64>::default();
        let style = ProgressStyle::with_template(TEMPLATE)?
            .with_key("calls", show(&calls))
            .with_key("failed", show(&failed))
            .progress_chars("=> ");
        let bar = ProgressBar::new(u64::from(kills))
            .with_style(style)
            .with_prefix(client);
        if bar.is_hidden() {
            eprintln!("{client}: killing the leader {kills} times ...");
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Ok(Self { bar, calls, failed })
    }

    /// An undeclared call that fails is a promise kept, and not shown as a failure here.
    pub(crate) fn saw_call(&self, failed: bool) {
        self.calls.fetch_add(1, Relaxed);
        self.failed.fetch_add(u64::from(failed), Relaxed);
    }

    pub(crate) fn saw_kill(&self) {
        self.bar.inc(1);
    }

    pub(crate) fn finish(&self) {
        self.bar.abandon();
    }
}

fn show(
    count: &Arc<AtomicU64>,
) -> impl Fn(&ProgressState, &mut dyn std::fmt::Write) + Clone + Send + Sync + 'static {
    let count = Arc::clone(count);
    move |_, out| {
        // A progress bar that cannot be written to is not worth failing for.
        let _ = write!(out, "{}", count.load(Relaxed));
    }
}
