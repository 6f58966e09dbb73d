use std::sync::Arc;

use tokio::time::Instant;

use super::connection::Connection;
use super::connectivity::Connectivity;
use crate::report::SharedError;

/// What of an endpoint calls have to know.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) state: Connectivity,
    pub(super) connections: Vec<Arc<Connection>>,
    pub(super) error: Option<SharedError>,
    pub(super) next_dial: Option<Instant>,
}

impl View {
    pub(super) fn idle() -> Self {
        Self {
            state: Connectivity::Idle,
            connections: Vec::new(),
            error: None,
            next_dial: None,
        }
    }
}
