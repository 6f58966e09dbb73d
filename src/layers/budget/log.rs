use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::events;
use crate::kernel::sync::Mutex;

/// A budget counts as refilled after this time without a refusal: near its limit it alternates
/// between granting and refusing.
const CALM: Duration = Duration::from_secs(10);

/// Logs once when a budget is used up, and when it has refilled. It runs for extra attempts only:
/// a call that succeeds at once costs nothing.
#[derive(Debug, Default)]
pub(super) struct Log {
    is_empty: AtomicBool,
    refused: Mutex<Option<Refused>>,
}

/// The first and the last refusal.
#[derive(Clone, Copy, Debug)]
struct Refused {
    first: Instant,
    last: Instant,
}

impl Log {
    #[cold]
    pub(super) fn denied(&self) {
        let now = Instant::now();
        let mut refused = self.refused.lock();
        let is_new = refused.is_none();
        refused
            .get_or_insert(Refused {
                first: now,
                last: now,
            })
            .last = now;
        self.is_empty.store(true, Ordering::Relaxed);
        drop(refused);
        if is_new {
            events::budget_is_empty();
        }
    }

    pub(super) fn granted(&self) {
        if self.is_empty.load(Ordering::Relaxed) {
            self.may_be_back();
        }
    }

    #[cold]
    fn may_be_back(&self) {
        let now = Instant::now();
        let mut refused = self.refused.lock();
        let is_calm = |it: &mut Refused| now.saturating_duration_since(it.last) >= CALM;
        let Some(before) = refused.take_if(is_calm) else {
            return;
        };
        self.is_empty.store(false, Ordering::Relaxed);
        drop(refused);
        events::budget_is_back(before.last.saturating_duration_since(before.first));
    }
}
