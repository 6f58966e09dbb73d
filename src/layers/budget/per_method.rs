use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::call::Budget;

/// Limit of methods with a budget of their own. Method names come from requests, so their number
/// must be bounded.
const MOST_METHODS: usize = 1_024;

/// The name of the budget that all other methods share.
pub(super) const OTHERS: &str = "/**";

/// A budget for each method, created at its first call.
#[derive(Clone)]
pub(super) struct PerMethod(Arc<Inner>);

struct Inner {
    make: Box<dyn Fn() -> Arc<dyn Budget> + Send + Sync>,
    made: ArcSwap<Made>,
}

type Made = HashMap<Arc<str>, Arc<dyn Budget>>;

impl PerMethod {
    pub(super) fn new<B: Budget + 'static>(make: impl Fn() -> B + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            make: Box::new(move || Arc::new(make())),
            made: ArcSwap::default(),
        }))
    }

    /// The budget of a method. For a known method this is a map lookup without lock or allocation.
    pub(super) fn of(&self, method: &str) -> Arc<dyn Budget> {
        let made = self.0.made.load();
        if let Some(budget) = made.get(key(&made, method)) {
            return Arc::clone(budget);
        }
        self.first(method)
    }

    /// Creates the budget of a method. If another thread was first, its budget is used.
    fn first(&self, method: &str) -> Arc<dyn Budget> {
        let budget = (self.0.make)();
        self.0.made.rcu(|made| {
            let key = key(made, method);
            if made.contains_key(key) {
                return Arc::clone(made);
            }
            let mut made = Made::clone(made);
            made.insert(key.into(), Arc::clone(&budget));
            Arc::new(made)
        });
        let made = self.0.made.load();
        made.get(key(&made, method)).map_or(budget, Arc::clone)
    }

    pub(super) fn all(&self) -> Vec<(String, Arc<dyn Budget>)> {
        let made = self.0.made.load();
        let all = made.iter();
        all.map(|(name, budget)| (name.to_string(), Arc::clone(budget)))
            .collect()
    }
}

/// The name under which a method's budget is stored.
fn key<'a>(made: &Made, method: &'a str) -> &'a str {
    if made.len() < MOST_METHODS || made.contains_key(method) {
        method
    } else {
        OTHERS
    }
}

impl fmt::Debug for PerMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = self.0.made.load();
        f.debug_map().entries(made.iter()).finish()
    }
}
