//! How an endpoint replaces its connections once the settings of TLS have changed.

use std::sync::Arc;

use tokio::time::Instant;

use super::role::Role;
use super::{Inside, Subchannel};
use crate::channel::connection::Connection;
use crate::classify::display_chain;
use crate::events;
use crate::report::SharedError;

/// The connections that were made with earlier settings, until one replaces them.
#[derive(Default)]
pub(super) struct Renewal {
    outdated: Vec<Arc<Connection>>,
    /// No replacement could be made, and an event said so.
    is_told: bool,
}

impl Renewal {
    pub(super) fn remove(&mut self, connection: &Arc<Connection>) {
        self.outdated.retain(|it| !Arc::ptr_eq(it, connection));
    }

    /// A dial failed.
    pub(super) fn failed(&mut self, endpoint: &str, error: &SharedError) {
        let is_wanted = !self.outdated.is_empty();
        if is_wanted && !std::mem::replace(&mut self.is_told, true) {
            events::connection_not_renewed(endpoint, &display_chain(&**error));
        }
    }
}

impl Subchannel {
    /// One connection with the new settings replaces all there are.
    pub(in crate::channel) fn renew(&self) {
        self.change(Inside::renew);
    }
}

impl Inside {
    pub(super) fn renew(&mut self, now: Instant) -> Option<Instant> {
        let silent = self.silent.iter().map(|it| &it.connection);
        self.renewal = Renewal {
            outdated: self.connections.iter().chain(silent).cloned().collect(),
            is_told: false,
        };
        self.machine.renew(now)
    }

    /// A connection with the present settings is there: takes the others out, to be retired.
    pub(super) fn replaced(&mut self) -> Vec<Arc<Connection>> {
        let outdated = std::mem::take(&mut self.renewal).outdated;
        for connection in &outdated {
            if self.remove(connection) == Role::InUse {
                self.machine.replaced();
            }
        }
        outdated
    }

    /// Whether a connection that is made now is one beyond the first: one that replaces others is
    /// not.
    pub(super) fn has_first(&self) -> bool {
        let is_outdated = |it: &Arc<Connection>| {
            let mut outdated = self.renewal.outdated.iter();
            outdated.any(|outdated| Arc::ptr_eq(outdated, it))
        };
        !self.connections.iter().all(is_outdated)
    }
}
