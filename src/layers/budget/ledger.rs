use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::call::{AttemptKind, BudgetSnapshot, PerKind, Permit};

use super::log::Log;

/// Counts permitted and denied extra attempts by kind.
#[derive(Clone)]
pub(super) struct Ledger {
    counts: Arc<Counts>,
    /// Created once, so that a permit allocates nothing.
    refunds: PerKind<Refund>,
}

type Refund = Arc<dyn Fn() + Send + Sync>;

#[derive(Debug, Default)]
struct Counts {
    spent: PerKind<AtomicU64>,
    denied: PerKind<AtomicU64>,
    log: Log,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let counts = Arc::new(Counts::default());
        let refunds = PerKind::new(|kind| {
            let counts = Arc::clone(&counts);
            Arc::new(move || counts.given_back(kind)) as Refund
        });
        Self { counts, refunds }
    }

    /// A permit that only changes these counts.
    pub(super) fn permit(&self, kind: AttemptKind) -> Permit {
        self.granted(kind);
        Permit::refundable(Arc::clone(self.refunds.of(kind)))
    }

    pub(super) fn granted(&self, kind: AttemptKind) {
        self.counts.log.granted();
        self.counts.spent.of(kind).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn given_back(&self, kind: AttemptKind) {
        self.counts.given_back(kind);
    }

    pub(super) fn denied(&self, kind: AttemptKind) {
        self.counts.log.denied();
        self.counts.denied.of(kind).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, tokens: f64) -> BudgetSnapshot {
        let snapshot = BudgetSnapshot::new(tokens);
        AttemptKind::ALL
            .into_iter()
            .fold(snapshot, |snapshot, kind| {
                let count = |of: &PerKind<AtomicU64>| of.of(kind).load(Ordering::Relaxed);
                snapshot
                    .with_spent(kind, count(&self.counts.spent))
                    .with_denied(kind, count(&self.counts.denied))
            })
    }
}

impl Counts {
    /// Never underflows: only granted permits are given back.
    fn given_back(&self, kind: AttemptKind) {
        self.spent.of(kind).fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts.fmt(f)
    }
}
