//! How an endpoint lets a connection go.

use std::sync::Arc;

use super::Inside;
use crate::channel::connection::Connection;

/// What a connection was for its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It has left already.
    None,
    /// It took calls.
    InUse,
    Silent,
}

impl Inside {
    /// Takes the connection out of those that take calls, or may again; what it was.
    pub(super) fn remove(&mut self, connection: &Arc<Connection>) -> Role {
        let place = self
            .connections
            .iter()
            .position(|it| Arc::ptr_eq(it, connection));
        let in_use = place.map(|place| self.connections.remove(place));
        let silent = self.remove_silent(connection).map(|it| it.connection);
        let role = match (&in_use, &silent) {
            (Some(_), _) => Role::InUse,
            (None, Some(_)) => Role::Silent,
            (None, None) => Role::None,
        };
        self.draining.extend(in_use.or(silent));
        self.renewal.remove(connection);
        self.checked.forget(connection);
        role
    }
}
