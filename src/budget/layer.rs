use std::sync::Arc;

use tower_layer::Layer;

use crate::call::Budget;

use super::Budgeted;

/// Gives every call of a channel the same budget; see the [module](super).
#[derive(Clone, Debug)]
pub struct BudgetLayer {
    budget: Option<Arc<dyn Budget>>,
}

impl BudgetLayer {
    /// A layer that hands out this budget.
    pub fn new(budget: impl Budget + 'static) -> Self {
        Self {
            budget: Some(Arc::new(budget)),
        }
    }

    /// A layer that does nothing, where a stack has a place for one.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { budget: None }
    }
}

impl<S> Layer<S> for BudgetLayer {
    type Service = Budgeted<S>;

    fn layer(&self, inner: S) -> Budgeted<S> {
        Budgeted::new(inner, self.budget.clone())
    }
}
