use std::sync::Arc;

use crate::kernel::sync::{AtomicUsize, Ordering};

/// Notifies the holders of its clones that a live request can't be sent again.
#[derive(Clone, Debug, Default)]
pub(crate) struct LossNotice(Arc<AtomicUsize>);

impl LossNotice {
    pub(crate) fn give(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// Whether the notice was given.
    pub(crate) fn is_given(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }
}
