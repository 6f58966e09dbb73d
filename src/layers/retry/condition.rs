use std::fmt;
use std::sync::Arc;

use crate::grpc::Status;

type Predicate = Arc<dyn Fn(&Status) -> bool + Send + Sync>;

/// Predicates on the status of a failure.
#[derive(Clone, Default)]
pub(super) struct Conditions(Vec<Predicate>);

impl Conditions {
    pub(super) fn add(&mut self, holds: impl Fn(&Status) -> bool + Send + Sync + 'static) {
        self.0.push(Arc::new(holds));
    }

    /// Whether a predicate holds for this failure. Without a status none does.
    pub(super) fn any(&self, status: Option<&Status>) -> bool {
        status.is_some_and(|status| self.0.iter().any(|holds| holds(status)))
    }
}

impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} predicates", self.0.len())
    }
}
