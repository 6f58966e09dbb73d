use std::sync::Arc;

use crate::call::{Budget, BudgetSnapshot};
use crate::events::Once;
use crate::methods::{InvalidPattern, MethodTable, method_of};

use super::per_method::{OTHERS, PerMethod};

/// The budgets of a layer, by method.
#[derive(Clone, Debug)]
pub(super) struct Budgets {
    methods: MethodTable<Arc<dyn Budget>>,
    others: Others,
    pub(super) below_retry: Once,
    pub(super) below_another: Once,
}

/// The budget of methods that no pattern matches.
#[derive(Clone, Debug)]
pub(super) enum Others {
    None,
    Common(Arc<dyn Budget>),
    Each(PerMethod),
}

impl Budgets {
    pub(super) fn new(others: Others) -> Self {
        Self {
            methods: MethodTable::default(),
            others,
            below_retry: Once::default(),
            below_another: Once::default(),
        }
    }

    /// The patterns of methods with a budget of their own.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().map(|(pattern, _)| pattern)
    }

    pub(super) fn add(
        &mut self,
        pattern: &str,
        budget: Arc<dyn Budget>,
    ) -> Result<(), InvalidPattern> {
        self.methods.replace(pattern, budget)
    }

    pub(super) fn of(&self, path: &str) -> Option<Arc<dyn Budget>> {
        let by_pattern = self.methods.find_path(path).map(Arc::clone);
        by_pattern.or_else(|| match &self.others {
            Others::None => None,
            Others::Common(budget) => Some(Arc::clone(budget)),
            Others::Each(methods) => Some(methods.of(method_of(path))),
        })
    }

    /// The snapshots by name: a pattern, a method, or `/**` for the budget that all others share.
    pub(super) fn snapshots(&self) -> Vec<(String, BudgetSnapshot)> {
        let by_pattern = self.methods.iter();
        let mut all: Vec<_> = by_pattern
            .map(|(pattern, budget)| (pattern.to_owned(), Arc::clone(budget)))
            .collect();
        // A pattern for every method leaves no call to the others.
        if all.iter().all(|(pattern, _)| pattern != OTHERS) {
            match &self.others {
                Others::None => {}
                Others::Common(budget) => all.push((OTHERS.to_owned(), Arc::clone(budget))),
                Others::Each(methods) => all.extend(methods.all()),
            }
        }
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        let snapshots = all.into_iter();
        snapshots
            .map(|(name, budget)| (name, budget.snapshot()))
            .collect()
    }
}
