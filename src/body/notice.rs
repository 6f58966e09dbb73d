use std::sync::Arc;

use crate::kernel::sync::{AtomicUsize, Ordering};

/// Tells whoever has a clone that a live request can't be sent again any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct LossNotice(Arc<AtomicUsize>);

impl LossNotice {
    pub(super) fn give(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// Whether it can't.
    pub(crate) fn is_given(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }
}
