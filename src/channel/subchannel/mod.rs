//! One address: its state machine, and what carries it out.

mod machine;

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::address::Address;
use super::connection::{self, Allowance, Connection, Keepalive, Plan, Watcher};
use super::connectivity::Connectivity;
use super::shared::Shared;
use super::view::View;
use crate::classify::display_chain;
use crate::events;
use crate::kernel::sync::Mutex;
use crate::report::SharedError;
use machine::{Machine, Was};

/// An endpoint of a channel.
pub(super) struct Subchannel {
    me: Weak<Self>,
    /// Its place among the channel's.
    index: usize,
    pub(super) name: Arc<str>,
    address: Address,
    shared: Arc<Shared>,
    inside: Mutex<Inside>,
}

struct Inside {
    machine: Machine,
    /// Those that take calls.
    connections: Vec<Arc<Connection>>,
    /// The dial that is planned or under way.
    dial: Option<AbortHandle>,
    /// Its number: one that was replaced may still run to its next `await`.
    dial_number: u64,
    error: Option<SharedError>,
    keepalive: Option<Keepalive>,
    allowance: Allowance,
    told: Connectivity,
}

/// How long a connection beyond the first may be without calls.
const SPARE_IDLE: Duration = Duration::from_secs(10);

impl Subchannel {
    pub(super) fn new(index: usize, address: Address, shared: Arc<Shared>) -> Arc<Self> {
        let settings = &shared.settings;
        let inside = Inside {
            machine: Machine::new(Arc::clone(&settings.backoff), settings.max_connections),
            connections: Vec::new(),
            dial: None,
            dial_number: 0,
            error: None,
            keepalive: settings.keepalive,
            allowance: Allowance::default(),
            told: Connectivity::Idle,
        };
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            index,
            name: address.to_string().into(),
            address,
            inside: Mutex::new(inside),
            shared,
        })
    }

    /// A connection is wanted.
    pub(super) fn demand(&self) {
        self.plan_dial(Machine::demand);
    }

    /// One more connection is wanted.
    pub(super) fn demand_more(&self) {
        self.plan_dial(Machine::demand_more);
    }

    /// The next dial starts at once.
    pub(super) fn reset_backoff(&self) {
        self.plan_dial(Machine::reset_backoff);
    }

    /// Nothing changes where no dial follows.
    fn plan_dial(&self, what: impl FnOnce(&mut Machine, Instant) -> Option<Instant>) {
        let mut inside = self.inside.lock();
        if let Some(at) = what(&mut inside.machine, Instant::now()) {
            self.dial_at(&mut inside, at);
            let view = self.tell(&mut inside);
            self.shared.publish(self.index, view);
        }
    }

    /// No further call; connections end after their calls.
    pub(super) fn shut(&self) {
        let mut inside = self.inside.lock();
        inside.machine.shut();
        if let Some(dial) = inside.dial.take() {
            dial.abort();
        }
        let connections = std::mem::take(&mut inside.connections);
        let view = self.tell(&mut inside);
        drop(inside);
        self.shared.publish(self.index, view);
        for connection in connections {
            connection.retire();
        }
    }

    pub(super) fn view(&self) -> View {
        self.inside.lock().view()
    }

    /// Something happened: does what the machine says, and tells the channel.
    fn change(&self, what: impl FnOnce(&mut Inside, Instant) -> Option<Instant>) {
        let mut inside = self.inside.lock();
        if let Some(at) = what(&mut inside, Instant::now()) {
            self.dial_at(&mut inside, at);
        }
        let view = self.tell(&mut inside);
        // In order: another change may follow at once.
        let is_news = self.shared.publish(self.index, view);
        drop(inside);
        if is_news {
            self.shared.queue.wake_all();
        }
    }

    fn dial_at(&self, inside: &mut Inside, at: Instant) {
        if let Some(dial) = inside.dial.take() {
            dial.abort();
        }
        let Some(me) = self.me.upgrade() else {
            return;
        };
        inside.dial_number += 1;
        let number = inside.dial_number;
        let dial = self.shared.runtime.spawn(async move {
            sleep_until(at).await;
            me.dial(number).await;
        });
        inside.dial = Some(dial.abort_handle());
    }

    async fn dial(self: Arc<Self>, number: u64) {
        let plan = {
            let mut inside = self.inside.lock();
            let is_this = inside.dial_number == number;
            if !is_this || !inside.machine.dialling(Instant::now()) {
                return;
            }
            self.plan(&inside)
        };
        let broken_off = BrokenOff(&self);
        let io = self.shared.connector.connect(self.address.clone());
        let watcher: Arc<dyn Watcher> = Arc::clone(&self) as _;
        let outcome = connection::connect(plan, io, watcher).await;
        std::mem::forget(broken_off);
        match outcome {
            Ok(connection) => self.dialled(connection),
            Err(error) => self.failed(Arc::new(error)),
        }
    }

    fn failed(&self, error: SharedError) {
        let unit = self.shared.rng.unit();
        self.change(|inside, now| {
            inside.dial = None;
            inside.error = Some(error);
            inside.machine.failed(now, unit)
        });
    }

    fn dialled(&self, connection: Arc<Connection>) {
        self.change(|inside, _| {
            inside.dial = None;
            if inside.machine.state() == Connectivity::Shutdown {
                connection.retire();
                return None;
            }
            inside.machine.dialled();
            inside.error = None;
            inside.connections.push(connection);
            None
        });
    }

    fn plan(&self, inside: &Inside) -> Plan {
        let settings = &self.shared.settings;
        let spare = (!inside.connections.is_empty()).then_some(SPARE_IDLE);
        Plan {
            endpoint: Arc::clone(&self.name),
            http2: settings.http2.clone(),
            allowance: inside.allowance,
            keepalive: inside.keepalive,
            max_idle: match (settings.max_idle, spare) {
                (Some(idle), Some(spare)) => Some(idle.min(spare)),
                (idle, spare) => idle.or(spare),
            },
            connect_timeout: settings.connect_timeout,
            queue: Arc::clone(&self.shared.queue),
        }
    }

    /// What calls have to know; a change of state is an event.
    fn tell(&self, inside: &mut Inside) -> View {
        let view = inside.view();
        let before = std::mem::replace(&mut inside.told, view.state);
        if before != view.state {
            let is_failure = view.state == Connectivity::TransientFailure;
            let error = view.error.as_deref().filter(|_| is_failure);
            let error = error.map(|error| display_chain(error));
            let delay = view.next_dial.filter(|_| is_failure);
            let delay = delay.map(|at| at.saturating_duration_since(Instant::now()));
            let (before, now) = (before.name(), view.state.name());
            events::endpoint_state(&self.name, before, now, error.as_deref(), delay);
        }
        view
    }
}

/// A dial that does not end by itself, since the connector panics, is a failed one.
struct BrokenOff<'a>(&'a Subchannel);

impl Drop for BrokenOff<'_> {
    fn drop(&mut self) {
        let error = crate::error::BoxError::from("the dial was broken off: the connector panicked");
        self.0.failed(Arc::from(error));
    }
}

impl Inside {
    fn view(&self) -> View {
        View {
            state: self.machine.state(),
            connections: self.connections.clone(),
            error: self.error.clone(),
            next_dial: self.machine.next_dial(),
        }
    }

    /// Takes the connection out of those that take calls; whether it was there.
    fn remove(&mut self, connection: &Arc<Connection>) -> bool {
        let before = self.connections.len();
        self.connections.retain(|it| !Arc::ptr_eq(it, connection));
        self.connections.len() < before
    }

    /// A server that is pinged too often wants it half as often (gRFC A8).
    fn calm_down(&mut self) -> Option<Duration> {
        let keepalive = self.keepalive.as_mut()?;
        keepalive.time = keepalive.time.saturating_mul(2);
        Some(keepalive.time)
    }
}

const ENHANCE_YOUR_CALM: u32 = 11;

impl Watcher for Subchannel {
    fn opened(&self) {
        self.shared.opens();
    }

    fn leaving(&self, connection: &Arc<Connection>) {
        let unit = self.shared.rng.unit();
        self.change(|inside, now| {
            if !inside.remove(connection) {
                return None;
            }
            let go_away = connection.facts.go_away();
            if go_away.is_some_and(|it| it.code == ENHANCE_YOUR_CALM)
                && connection.facts.text() == "too_many_pings"
                && let Some(time) = inside.calm_down()
            {
                events::too_many_pings(&self.name, time);
            }
            if let Some(it) = go_away.filter(|it| it.code == 0) {
                let opened = connection.streams();
                inside.allowance = inside.allowance.went_away(opened, it.last);
            }
            let was = Was {
                ready_since: connection.started,
                has_served: connection.facts.has_served(),
                is_graceful: go_away.map_or(connection.is_spent(), |it| it.code == 0),
            };
            inside.machine.lost(was, now, unit)
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
            inside.allowance = inside.allowance.ended(connection.streams());
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
        self.shared.closes();
    }
}
