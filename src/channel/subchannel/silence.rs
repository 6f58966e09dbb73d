//! The connections of an endpoint that may be dead (CONTRACT C22).

use std::sync::Arc;

use tokio::time::Instant;

use super::health::Hearing;
use super::{Inside, Subchannel, watch};
use crate::channel::connection::Connection;
use crate::error::BoxError;
use crate::events;

/// A connection that takes no call until it answers.
pub(super) struct Silent {
    pub(super) connection: Arc<Connection>,
    since: Instant,
    /// What its watch has found.
    pub(super) hearing: Hearing,
}

impl Subchannel {
    pub(super) fn falls_silent(&self, connection: &Arc<Connection>) {
        let unit = self.shared.rng.unit();
        self.change_or_stale(|inside, now| {
            let is_another = !inside.silent.is_empty();
            if !inside.silence(connection, now) {
                return (None, false);
            }
            events::connection_is_silent(self.name(), connection.timeouts());
            // A waiting call names the latest reason (CONTRACT R19).
            let error = "attempts timed out and nothing was read, so another connection is made";
            inside.error = Some(Arc::from(BoxError::from(error)));
            let was = watch::was(connection);
            // Its address may be another server's by now (CONTRACT N5).
            (inside.machine.silent(was, is_another, now, unit), true)
        });
    }

    pub(super) fn is_heard(&self, connection: &Arc<Connection>) {
        self.change(|inside, now| {
            let silent = inside.remove_silent(connection)?;
            let silent_for = now.saturating_duration_since(silent.since);
            events::connection_answers(self.name(), silent_for);
            // The oldest is filled first, so the one that replaced it closes without calls.
            let older = |it: &Arc<Connection>| it.started <= connection.started;
            let place = inside.connections.partition_point(older);
            inside.connections.insert(place, silent.connection);
            inside.checked.restore(connection, silent.hearing);
            inside.machine.answers();
            inside.error = None;
            // Calls that wait look for it.
            inside.made += 1;
            None
        });
    }
}

impl Inside {
    /// Takes the connection out of those that take calls; whether it was there.
    fn silence(&mut self, connection: &Arc<Connection>, now: Instant) -> bool {
        let is_it = |it: &Arc<Connection>| Arc::ptr_eq(it, connection);
        let Some(place) = self.connections.iter().position(is_it) else {
            return false;
        };
        let connection = self.connections.remove(place);
        let hearing = self.checked.take(&connection);
        self.silent.push(Silent {
            connection,
            since: now,
            hearing,
        });
        true
    }

    pub(super) fn remove_silent(&mut self, connection: &Arc<Connection>) -> Option<Silent> {
        let is_it = |it: &Silent| Arc::ptr_eq(&it.connection, connection);
        let place = self.silent.iter().position(is_it)?;
        Some(self.silent.remove(place))
    }

    /// What the watch on a connection found, whether it takes calls or not.
    pub(super) fn hears(&mut self, connection: &Arc<Connection>, hearing: Hearing) {
        let is_it = |it: &Arc<Connection>| Arc::ptr_eq(it, connection);
        if self.connections.iter().any(is_it) {
            self.checked.restore(connection, hearing);
        } else if let Some(silent) = self.silent.iter_mut().find(|it| is_it(&it.connection)) {
            silent.hearing = hearing;
        }
    }
}
