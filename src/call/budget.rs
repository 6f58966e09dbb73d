use std::fmt;
use std::sync::Arc;

use super::{AttemptKind, BudgetSnapshot};

/// Bounds the extra load that retries may put on a target; shared by the clones of a channel.
///
/// Only the layer that launches attempts calls these methods. Transparent retries need no permit
/// (CONTRACT T6).
pub trait Budget: fmt::Debug + Send + Sync {
    /// A call begins: its first attempt, which always goes (CONTRACT T7).
    fn began(&self) {}

    /// A call succeeded.
    fn succeeded(&self);

    /// An attempt failed in a way that could be retried, or the server said not to retry.
    fn failed(&self);

    /// Asks for one extra attempt; `None` is a refusal.
    fn permit(&self, kind: AttemptKind) -> Option<Permit>;

    /// What it holds and what was asked of it. By default nothing is known.
    fn snapshot(&self) -> BudgetSnapshot {
        BudgetSnapshot::default()
    }
}

/// So that one budget can be shared between channels.
impl<T: Budget + ?Sized> Budget for Arc<T> {
    fn began(&self) {
        (**self).began();
    }

    fn succeeded(&self) {
        (**self).succeeded();
    }

    fn failed(&self) {
        (**self).failed();
    }

    fn permit(&self, kind: AttemptKind) -> Option<Permit> {
        (**self).permit(kind)
    }

    fn snapshot(&self) -> BudgetSnapshot {
        (**self).snapshot()
    }
}

/// The right to one extra attempt.
///
/// [`Permit::start`] it as the attempt starts. Dropped before that, it gives back what it took.
#[must_use = "an attempt that starts must start its permit"]
pub struct Permit {
    refund: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Permit {
    /// A permit that took nothing.
    pub fn free() -> Self {
        Self { refund: None }
    }

    /// A permit that calls `refund` if its attempt never starts.
    pub fn refundable(refund: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            refund: Some(refund),
        }
    }

    /// The attempt has started: what was taken is spent.
    pub fn start(mut self) {
        self.refund = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(refund) = self.refund.take() {
            refund();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("refundable", &self.refund.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    // CONTRACT T9
    #[test]
    fn a_permit_whose_attempt_never_started_is_refunded_once() {
        let refunds = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&refunds);
        let refund: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        Permit::refundable(Arc::clone(&refund)).start();
        assert_eq!(refunds.load(Ordering::Relaxed), 0);
        drop(Permit::refundable(refund));
        assert_eq!(refunds.load(Ordering::Relaxed), 1);
    }
}
