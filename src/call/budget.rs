use std::fmt;
use std::sync::Arc;

use super::{AttemptKind, BudgetSnapshot};

/// Bounds the extra load that retries put on a target. The clones of a channel share it.
///
/// Only the layer that launches attempts calls these methods. Transparent retries need no permit
/// (CONTRACT T6).
pub trait Budget: fmt::Debug + Send + Sync {
    /// Records that a call begins. Its first attempt is always allowed (CONTRACT T7).
    fn call_started(&self) {}

    /// Records that a call succeeded.
    fn succeeded(&self);

    /// Records that an attempt failed in a retryable way, or that the server asked not to retry.
    fn failed(&self);

    /// Requests one extra attempt; `None` refuses it.
    fn permit(&self, kind: AttemptKind) -> Option<Permit>;

    /// The budget's content and its counters. Default: all unknown.
    fn snapshot(&self) -> BudgetSnapshot {
        BudgetSnapshot::default()
    }
}

/// Shares one budget between channels.
impl<T: Budget + ?Sized> Budget for Arc<T> {
    fn call_started(&self) {
        (**self).call_started();
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
/// Call [`Permit::start`] when the attempt starts. A permit that is dropped before that is
/// refunded.
#[must_use = "an attempt that starts must start its permit"]
pub struct Permit {
    refund: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Permit {
    /// A permit without a refund.
    pub fn free() -> Self {
        Self { refund: None }
    }

    /// A permit that calls `refund` if its attempt never starts.
    pub fn refundable(refund: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            refund: Some(refund),
        }
    }

    /// Marks the attempt as started: the permit is spent.
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
