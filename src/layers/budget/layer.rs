use std::sync::Arc;

use tower_layer::Layer;

use crate::call::{self, BudgetSnapshot};
use crate::methods::InvalidPattern;

use super::Budget;
use super::budgets::{Budgets, Others};
use super::per_method::PerMethod;

/// Gives every call of a channel its budget: one for all, or by method; see the [module](super).
///
/// Clones of a layer hand out the same budgets, and so do all channels that it is laid over.
#[derive(Clone, Debug)]
pub struct BudgetLayer {
    budgets: Arc<Budgets>,
}

impl BudgetLayer {
    /// A layer that hands out this budget. Sharing is by `Arc`: `BudgetLayer::new(Arc::clone(&budget))`.
    pub fn new(budget: impl call::Budget + 'static) -> Self {
        Self::of(Others::Common(Arc::new(budget)))
    }

    /// A layer that hands each method a budget of its own, so that one that fails does not use up
    /// what another needs. It is made when the method is first called.
    ///
    /// There are up to 1,024 of them; further methods share one. Of two that are made for the same
    /// method at once, one is dropped.
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

    /// A layer that does nothing, where a stack has a place for one.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::of(Others::None)
    }

    fn of(others: Others) -> Self {
        Self {
            budgets: Arc::new(Budgets::new(others)),
        }
    }

    /// Gives the methods that match this budget, which they share: an exact path beats a glob, the
    /// first glob the others. An equal pattern is replaced.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is no method or its glob is malformed.
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

    /// What each budget holds and what was asked of it, by the name of the pattern or the method;
    /// `/**` is what all others share.
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
