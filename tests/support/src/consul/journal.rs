use std::sync::Arc;

use tokio::time::Instant;

use super::Shared;
use crate::lock::lock;

/// A query for the instances of a service.
#[derive(Clone, Debug)]
pub struct ConsulQuery {
    /// The path with its parameters.
    pub path: String,
    /// The index after which it waits for a change.
    pub index: Option<u64>,
    /// Of an access list.
    pub token: Option<String>,
    /// When it came.
    pub at: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) queries: Vec<ConsulQuery>,
    pub(super) requests: Vec<(String, Option<String>)>,
    pub(super) open: usize,
}

/// Counts as an open connection while it lives.
pub(super) struct Open(Arc<Shared>);

impl Open {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        lock(&shared.state).journal.open += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.0.state).journal.open -= 1;
    }
}
