//! What connections tell their endpoint.

use std::sync::Arc;

use super::Subchannel;
use super::machine::{Machine, Was};
use crate::channel::connection::{Connection, Watcher};
use crate::events;

const ENHANCE_YOUR_CALM: u32 = 11;

pub(super) fn was(connection: &Connection) -> Was {
    let go_away = connection.facts.go_away();
    Was {
        ready_since: connection.started,
        // A server that floods may answer calls, too: without a backoff it would have its next
        // connection at once (CONTRACT C18).
        has_served: connection.facts.has_served() && !connection.facts.is_flooded(),
        is_graceful: go_away.map_or(connection.is_spent(), |it| it.code == 0),
    }
}

impl Watcher for Subchannel {
    fn opened(&self) {
        self.shared.opens();
    }

    fn leaving(&self, connection: &Arc<Connection>) {
        let unit = self.shared.rng.unit();
        self.change_or_stale(|inside, now| {
            if !inside.remove(connection) {
                return (None, false);
            }
            let go_away = connection.facts.go_away();
            inside.go_aways += u64::from(go_away.is_some());
            if go_away.is_some_and(|it| it.code == ENHANCE_YOUR_CALM)
                && connection.facts.text() == "too_many_pings"
                && let Some(time) = inside.calm_down()
            {
                events::too_many_pings(self.name(), time);
            }
            if let Some(it) = go_away.filter(|it| it.code == 0) {
                let opened = connection.streams();
                inside.max_requests = inside.max_requests.went_away(opened, it.last);
            }
            (inside.machine.lost(was(connection), now, unit), true)
        });
    }

    fn served_late(&self) {
        self.plan_dial(Machine::served_late);
    }

    fn idle(&self, connection: &Arc<Connection>) {
        self.change(|inside, _| {
            if inside.remove(connection) {
                inside.machine.closed_idle();
            }
            None
        });
        connection.retire();
    }

    fn over(&self, connection: &Arc<Connection>, end: Result<(), h2::Error>) {
        if connection.facts.go_away().is_none() {
            let mut inside = self.inside.lock();
            inside.max_requests = inside.max_requests.ended(connection.streams());
        }
        if let Err(error) = end {
            let mut inside = self.inside.lock();
            if inside
                .connections
                .iter()
                .any(|it| Arc::ptr_eq(it, connection))
            {
                // A waiting call names the latest reason (CONTRACT R19).
                inside.error = Some(Arc::new(error));
            }
        }
        self.leaving(connection);
        self.change(|inside, _| {
            inside.draining.retain(|it| !Arc::ptr_eq(it, connection));
            None
        });
        self.shared.closes();
    }
}
