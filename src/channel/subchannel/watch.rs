//! What connections tell their endpoint.

use std::sync::Arc;
use std::time::Duration;

use super::machine::{Machine, Was};
use super::role::Role;
use super::{Inside, SPARE_IDLE, Subchannel};
use crate::channel::connection::{Connection, Rest, Watcher};
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
            let role = inside.remove(connection);
            if role == Role::None {
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
            if role == Role::Silent {
                // Its replacement was dialled when it fell silent.
                if connection.facts.is_silent() {
                    events::connection_is_dead(self.name(), connection.timeouts());
                }
                return (None, true);
            }
            (inside.machine.lost(was(connection), now, unit), true)
        });
    }

    fn served_late(&self) {
        self.plan_dial(Machine::served_late);
    }

    fn silent(&self, connection: &Arc<Connection>) {
        self.falls_silent(connection);
    }

    fn answers(&self, connection: &Arc<Connection>) {
        self.is_heard(connection);
    }

    fn idle(&self, connection: &Arc<Connection>, idle_for: Duration) -> Rest {
        let mut rest = Rest::Closed;
        self.change(|inside, _| {
            rest = inside.rest(connection, idle_for, self.shared.settings.max_idle);
            if rest == Rest::Closed && inside.remove(connection) == Role::InUse {
                inside.machine.closed_idle();
            }
            None
        });
        if rest == Rest::Closed {
            connection.retire();
        }
        rest
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

impl Inside {
    /// Whether a connection that was idle for so long is closed. One beyond the first is, and may
    /// be the first by now.
    fn rest(
        &self,
        connection: &Arc<Connection>,
        idle_for: Duration,
        max_idle: Option<Duration>,
    ) -> Rest {
        let is_alone = matches!(&*self.connections, [it] if Arc::ptr_eq(it, connection));
        if !is_alone || max_idle.is_some_and(|max| idle_for >= max) {
            return Rest::Closed;
        }
        if self.silent.is_empty() {
            return max_idle.map_or(Rest::Forever, Rest::Until);
        }
        // If that answers, this one is beyond the first again.
        let again = idle_for + SPARE_IDLE;
        Rest::Until(max_idle.map_or(again, |max| max.min(again)))
    }
}
