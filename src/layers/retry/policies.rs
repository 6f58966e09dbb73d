use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::kernel::sync::{AtomicUsize, Ordering};
use crate::methods::{InvalidPattern, MethodTable};

use super::Policy;

/// Retry policies by method.
///
/// ```
/// use grpc_resilience::retry::{Policies, RetryLayer, RetryPolicy};
///
/// let policies = Policies::new(RetryPolicy::new())
///     .method("/orders.v1.Orders/Get*", RetryPolicy::new().max_attempts(6)?)?
///     .method("/orders.v1.Orders/Watch", RetryPolicy::never())?;
/// let layer = RetryLayer::new(policies);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policies {
    others: Arc<dyn Policy>,
    methods: MethodTable<Arc<dyn Policy>>,
}

impl Policies {
    /// Creates policies with this one for every method without its own.
    pub fn new(policy: impl Policy + 'static) -> Self {
        Self {
            others: Arc::new(policy),
            methods: MethodTable::default(),
        }
    }

    /// Adds a policy for the methods that match the pattern. An exact path wins over a glob, and
    /// the first glob over later ones. A policy with an equal pattern is replaced.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if the pattern is not a method path or its glob is malformed.
    pub fn method(
        mut self,
        pattern: &str,
        policy: impl Policy + 'static,
    ) -> Result<Self, InvalidPattern> {
        self.methods.replace(pattern, Arc::new(policy))?;
        Ok(self)
    }

    /// The patterns of [`method`](Self::method).
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().map(|(pattern, _)| pattern)
    }

    /// The policy for `/package.Service/Method`. The path may have the prefix of an origin.
    #[must_use]
    pub fn of(&self, path: &str) -> &Arc<dyn Policy> {
        self.methods.find_path(path).unwrap_or(&self.others)
    }
}

impl<P: Policy + 'static> From<P> for Policies {
    fn from(policy: P) -> Self {
        Self::new(policy)
    }
}

/// Reads and replaces the policies of a running [`RetryLayer`](super::RetryLayer) and of all
/// channels that it wraps.
///
/// A call keeps the policy with which it started.
#[derive(Clone, Debug)]
pub struct PolicyHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    policies: ArcSwap<Policies>,
    /// The number of replacements.
    changes: AtomicUsize,
}

impl PolicyHandle {
    pub(super) fn new(policies: Policies) -> Self {
        Self(Arc::new(Shared {
            policies: ArcSwap::from_pointee(policies),
            changes: AtomicUsize::new(0),
        }))
    }

    /// The current policies.
    #[must_use]
    pub fn current(&self) -> Arc<Policies> {
        self.0.policies.load_full()
    }

    /// Replaces all policies, including those by method, for calls that start afterwards.
    pub fn replace(&self, policies: impl Into<Policies>) {
        self.0.policies.store(Arc::new(policies.into()));
        self.0.changes.fetch_add(1, Ordering::Release);
    }

    /// Changes the policies. The closure runs again if another thread replaced them meanwhile.
    ///
    /// # Errors
    ///
    /// The error of the closure; the policies are then unchanged.
    pub fn update<E>(&self, change: impl Fn(Policies) -> Result<Policies, E>) -> Result<(), E> {
        loop {
            let current = self.0.policies.load_full();
            let changed = Arc::new(change(Policies::clone(&current))?);
            let before = self.0.policies.compare_and_swap(&current, changed);
            if Arc::ptr_eq(&before, &current) {
                self.0.changes.fetch_add(1, Ordering::Release);
                return Ok(());
            }
        }
    }

    /// The number of replacements. While it is unchanged, earlier lookups stay valid.
    pub(super) fn changes(&self) -> usize {
        self.0.changes.load(Ordering::Acquire)
    }

    /// Like [`current`](Self::current), for a short time, without a reference count.
    pub(super) fn load(&self) -> Guard<Arc<Policies>> {
        self.0.policies.load()
    }
}
