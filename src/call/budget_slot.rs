use std::sync::{Arc, OnceLock};

use super::Budget;

/// Where a caller finds the budget that a layer below has chosen for its call. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct BudgetSlot(Arc<OnceLock<Arc<dyn Budget>>>);

impl BudgetSlot {
    /// The outermost budget layer fills it; later calls through the slot have the same budget.
    #[cold]
    pub(super) fn fill(&self, budget: &Arc<dyn Budget>) {
        let _ = self.0.set(Arc::clone(budget));
    }

    /// `None` until a call has passed a budget layer.
    #[cfg(feature = "tonic")]
    pub(crate) fn get(&self) -> Option<&Arc<dyn Budget>> {
        self.0.get()
    }
}
