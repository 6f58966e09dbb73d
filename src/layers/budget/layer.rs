use std::sync::Arc;

use tower_layer::Layer;

use crate::call::{self, BudgetSnapshot};
use crate::methods::InvalidPattern;

use super::Budget;
use super::budgets::{Budgets, Others};
use super::per_method::PerMethod;

/// Gives every call of a channel its budget: one for all, or by method; see the [module](super).
///
/// Clones of a layer, and all channels that it wraps, share its budgets.
#[derive(Clone, Debug)]
pub struct BudgetLayer {
    budgets: Arc<Budgets>,
}

impl BudgetLayer {
    /// A layer with one budget for all methods. Share a budget by `Arc`:
    /// `BudgetLayer::new(Arc::clone(&budget))`.
    pub fn new(budget: impl call::Budget + 'static) -> Self {
        Self::of(Others::Common(Arc::new(budget)))
    }

    /// A layer that creates a budget for each method when the method is first called, so that a
    /// failing method does not use up the budget of others.
    ///
    /// At most 1,024 methods get their own; further ones share one. If two first calls of a method
    /// run concurrently, one of the two created budgets is dropped.
    ///
    /// ```
    /// use grpc_resilience::budget::{BudgetLayer, PercentageBudget};
    ///
    /// let layer = BudgetLayer::per_method(PercentageBudget::default);
    /// ```
    pub fn per_method<B: call::Budget + 'static>(
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self {
        Self::of(Others::Each(PerMethod::new(make)))
    }

    /// A layer without budgets, for a stack that has a place for one.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::of(Others::None)
    }

    fn of(others: Others) -> Self {
        Self {
            budgets: Arc::new(Budgets::new(others)),
        }
    }

    /// Adds a budget that all methods that match the pattern share. An exact path wins over a glob,
    /// and the first glob over later ones. A budget with an equal pattern is replaced.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method path or its glob is malformed.
    pub fn method(
        mut self,
        pattern: &str,
        budget: impl call::Budget + 'static,
    ) -> Result<Self, InvalidPattern> {
        Arc::make_mut(&mut self.budgets).add(pattern, Arc::new(budget))?;
        Ok(self)
    }

    /// The patterns of [`method`](Self::method).
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.budgets.patterns()
    }

    /// The state of each budget and its counts of permits, by pattern or method name; `/**` is the
    /// budget that all others share.
    #[must_use]
    pub fn snapshots(&self) -> Vec<(String, BudgetSnapshot)> {
        self.budgets.snapshots()
    }
}

impl<S> Layer<S> for BudgetLayer {
    type Service = Budget<S>;

    fn layer(&self, inner: S) -> Budget<S> {
        Budget::new(inner, Arc::clone(&self.budgets))
    }
}
