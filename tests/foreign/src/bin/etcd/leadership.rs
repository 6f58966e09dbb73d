//! When the cluster had a leader: what a call needs that is no merit of the client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foreign::tally::{Failed, Record, Tally};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::calls::DEADLINE;
use crate::cluster::{leader, statuses};

const POLL: Duration = Duration::from_millis(50);
/// Members that are asked and answer take a few milliseconds. If it takes longer than this, the
/// machine stands still, and a leader that does not run is none.
const PROMPT: Duration = Duration::from_millis(500);

/// Asks the members again and again, until it is dropped.
pub(crate) struct Leadership {
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

/// What the members said at some time.
#[derive(Clone, Copy)]
struct Seen {
    asked: Instant,
    is_led: bool,
}

impl Leadership {
    pub(crate) fn watch(members: Vec<String>) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let told = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let asked = Instant::now();
                let statuses = statuses(&members).await.unwrap_or_default();
                let seen = Seen {
                    asked,
                    // A follower names a dead leader until it misses its heartbeats.
                    is_led: leader(&statuses).is_some(),
                };
                told.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(seen);
                sleep(POLL).await;
            }
        });
        Self { seen, task }
    }

    /// How long there was a leader in this time: between questions whose answers both named one.
    fn led(&self, from: Instant, to: Instant) -> Duration {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let led = seen.windows(2).filter_map(|pair| match pair {
            [a, b] if a.is_led && b.is_led && b.asked - a.asked <= PROMPT => {
                let (since, until) = (a.asked.max(from), b.asked.min(to));
                Some(until.saturating_duration_since(since))
            }
            _ => None,
        });
        led.sum()
    }

    /// The failed calls that had a leader for half of their deadline, and those that had none for
    /// so long: an election that takes longer than any attempt is no fault of the client.
    pub(crate) fn judge<'a>(&self, tally: &'a Tally) -> (Vec<(&'a Record, &'a Failed)>, usize) {
        let (led, leaderless): (Vec<_>, Vec<_>) = tally.failed().partition(|(call, _)| {
            self.led(call.start, call.start + call.took) >= DEADLINE / 2
                || call.took < DEADLINE.mul_f64(0.9)
        });
        (led, leaderless.len())
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.task.abort();
    }
}
