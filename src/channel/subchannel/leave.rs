//! How an endpoint leaves the channel, and comes back.

use std::sync::Arc;

use tokio::time::Instant;

use super::renewal::Renewal;
use super::{Inside, Subchannel};
use crate::channel::connection::Connection;

impl Subchannel {
    /// No further call, and no dial; connections end after their calls (CONTRACT N10).
    pub(in crate::channel) fn shut(&self) {
        self.leave(|inside| inside.machine.shut());
    }

    /// Another address is used; this one is dialled again when it is wanted (CONTRACT L6).
    pub(in crate::channel) fn stand_by(&self) {
        self.leave(|inside| inside.machine.stand_by());
    }

    fn leave(&self, how: impl FnOnce(&mut Inside)) {
        let mut inside = self.inside.lock();
        how(&mut inside);
        if let Some(dial) = inside.dial.take() {
            dial.abort();
            // It may still run to its next `await`, and its outcome is not wanted.
            inside.dial_number += 1;
        }
        let silent = std::mem::take(&mut inside.silent);
        let mut connections = std::mem::take(&mut inside.connections);
        connections.extend(silent.into_iter().map(|it| it.connection));
        inside.draining.extend(connections.iter().cloned());
        for connection in &connections {
            inside.checked.forget(connection);
        }
        inside.renewal = Renewal::default();
        self.look_at_health(&mut inside, Instant::now());
        self.endpoint.set_connections(Vec::new());
        self.tell(&mut inside, false);
        drop(inside);
        for connection in connections {
            connection.retire();
        }
    }

    /// The address is back before its last connection was over: its load and its backoff go on, its
    /// draining connections end after their calls, and a new one is made.
    pub(in crate::channel) fn revive(&self) {
        self.inside.lock().machine.revive();
    }

    /// Nothing of it is left: it has no connection, and a new dial of its address may begin at
    /// once.
    pub(in crate::channel) fn is_over(&self, now: Instant) -> bool {
        let inside = self.inside.lock();
        let has_connection = !inside.connections.is_empty() || !inside.draining.is_empty();
        !has_connection && !inside.machine.is_too_soon(now)
    }

    /// When its last dial began.
    pub(in crate::channel) fn last_dial(&self) -> Option<Instant> {
        self.inside.lock().machine.last_dial()
    }

    /// Ends what is left of a removed endpoint, with its calls.
    pub(in crate::channel) fn cut(&self) {
        let draining = self.inside.lock().draining.clone();
        for connection in draining {
            connection.cut();
        }
    }

    /// Its connections: those that take calls, those that may be dead, and those that only end
    /// their calls.
    pub(in crate::channel) fn connections(&self) -> [Vec<Arc<Connection>>; 3] {
        let inside = self.inside.lock();
        let silent = inside.silent.iter().map(|it| Arc::clone(&it.connection));
        [
            inside.connections.clone(),
            silent.collect(),
            inside.draining.clone(),
        ]
    }
}
