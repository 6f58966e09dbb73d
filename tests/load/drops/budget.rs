//! A budget that refuses nothing and counts what it gave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grpc_resilience::call::{AttemptKind, Budget, Permit};

#[derive(Debug, Default)]
pub(crate) struct Counting {
    issued: AtomicUsize,
    refunded: Arc<AtomicUsize>,
}

impl Counting {
    pub(crate) fn issued(&self) -> usize {
        self.issued.load(Ordering::Relaxed)
    }

    pub(crate) fn refunded(&self) -> usize {
        self.refunded.load(Ordering::Relaxed)
    }
}

impl Budget for Counting {
    fn succeeded(&self) {}

    fn failed(&self) {}

    fn permit(&self, _: AttemptKind) -> Option<Permit> {
        self.issued.fetch_add(1, Ordering::Relaxed);
        let refunded = Arc::clone(&self.refunded);
        Some(Permit::refundable(Arc::new(move || {
            refunded.fetch_add(1, Ordering::Relaxed);
        })))
    }
}
