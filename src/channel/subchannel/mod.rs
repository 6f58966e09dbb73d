//! One address: its state machine, and what carries it out.

mod health;
mod leave;
mod machine;
mod renewal;
mod role;
mod silence;
mod told;
mod watch;

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::connect::Dial;
use super::connection::{
    self, Complaints, Connection, Keepalive, MaxRequests, Plan, Progress, Watcher,
};
use super::connectivity::Connectivity;
use super::eject::Tally;
use super::endpoint::ReadyEndpoint;
use super::load::Load;
use super::resolve::ResolvedAddress;
use super::shared::Shared;
use super::view::View;
use crate::kernel::sync::Mutex;
use crate::report::SharedError;
use health::{Checked, Fresh};
use machine::Machine;
use renewal::Renewal;
use silence::Silent;
use told::Told;

/// An endpoint of a channel.
pub(super) struct Subchannel {
    me: Weak<Self>,
    /// Its number in the channel, which no other endpoint had before.
    pub(super) number: u64,
    /// What calls see of it.
    pub(super) endpoint: Arc<ReadyEndpoint>,
    address: ResolvedAddress,
    shared: Arc<Shared>,
    complaints: Arc<Complaints>,
    inside: Mutex<Inside>,
}

struct Inside {
    machine: Machine,
    /// Those that take calls while they are healthy.
    connections: Vec<Arc<Connection>>,
    checked: Checked,
    renewal: Renewal,
    /// Those that take no call until they answer, and may be dead.
    silent: Vec<Silent>,
    /// Those that take no new call, and are not over.
    draining: Vec<Arc<Connection>>,
    /// The dial that is planned or under way.
    dial: Option<AbortHandle>,
    /// Its number: one that was replaced may still run to its next `await`.
    dial_number: u64,
    error: Option<SharedError>,
    keepalive: Option<Keepalive>,
    max_requests: MaxRequests,
    told: Told,
    go_aways: u64,
    /// Connections that were made, or have come back.
    made: u64,
}

/// How long a connection beyond the first may be without calls.
const SPARE_IDLE: Duration = Duration::from_secs(10);

impl Subchannel {
    /// With `is_on_demand` it dials when it is told to, and not again after a failure.
    pub(super) fn new(
        number: u64,
        address: ResolvedAddress,
        is_on_demand: bool,
        shared: Arc<Shared>,
    ) -> Arc<Self> {
        let settings = &shared.settings;
        let machine = Machine::new(Arc::clone(&settings.backoff), settings.max_connections);
        let inside = Inside {
            machine: if is_on_demand {
                machine.on_demand()
            } else {
                machine
            },
            connections: Vec::new(),
            checked: Checked::default(),
            renewal: Renewal::default(),
            silent: Vec::new(),
            draining: Vec::new(),
            dial: None,
            dial_number: 0,
            error: None,
            keepalive: settings.keepalive,
            max_requests: MaxRequests::default(),
            told: Told::new(),
            go_aways: 0,
            made: 0,
        };
        let tally = |rules| Tally::new(rules, Arc::clone(&shared.changes));
        let load = Load::new(shared.epoch).counted(settings.ejection.map(tally));
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            number,
            endpoint: Arc::new(ReadyEndpoint::new(address.address.clone(), load)),
            address,
            inside: Mutex::new(inside),
            shared,
            complaints: Arc::default(),
        })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        self.endpoint.shared_name()
    }

    /// A connection is wanted; when its dial begins, if one follows.
    pub(super) fn demand(&self) -> Option<Instant> {
        self.plan_dial(Machine::demand)
    }

    /// One more connection is wanted.
    #[cold]
    pub(super) fn demand_more(&self) {
        self.plan_dial(Machine::demand_more);
    }

    /// The next dial starts at once.
    pub(super) fn reset_backoff(&self) {
        self.plan_dial(Machine::reset_backoff);
    }

    /// Nothing changes where no dial follows.
    fn plan_dial(
        &self,
        what: impl FnOnce(&mut Machine, Instant) -> Option<Instant>,
    ) -> Option<Instant> {
        let mut inside = self.inside.lock();
        let at = what(&mut inside.machine, Instant::now())?;
        self.dial_at(&mut inside, at);
        self.tell(&mut inside, false);
        Some(at)
    }

    pub(super) fn view(&self) -> View {
        self.inside.lock().view()
    }

    /// Something happened: does what the machine says, and tells the balancer.
    fn change(&self, what: impl FnOnce(&mut Inside, Instant) -> Option<Instant>) {
        self.change_or_stale(|inside, now| (what(inside, now), false));
    }

    /// The same; whether the address may be stale comes with it.
    fn change_or_stale(&self, what: impl FnOnce(&mut Inside, Instant) -> (Option<Instant>, bool)) {
        let mut inside = self.inside.lock();
        let now = Instant::now();
        let (at, is_stale) = what(&mut inside, now);
        self.look_at_health(&mut inside, now);
        if let Some(at) = at {
            self.dial_at(&mut inside, at);
        }
        // Calls see at once which connections there are; in order, for another change may follow.
        self.endpoint.set_connections(inside.offered());
        self.tell(&mut inside, is_stale);
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
        let broken_off = BrokenOff(&self, number);
        let (connector, progress) = (&self.shared.connector, Arc::<Progress>::default());
        let (generation, begun) = (connector.generation(), Instant::now());
        let io = connector.connect(Dial {
            address: self.address.address.clone(),
            #[cfg(feature = "_tls-any")]
            server_name: self.address.server_name.clone(),
            progress: Arc::clone(&progress),
        });
        let watcher: Arc<dyn Watcher> = Arc::clone(&self) as _;
        let outcome = match connection::connect(plan, &progress, io, watcher).await {
            Ok(connection) => self.ask(connection, begun).await,
            Err(error) => Err(error),
        };
        std::mem::forget(broken_off);
        match outcome {
            Ok(fresh) => self.dialled(fresh, number, generation),
            Err(error) => self.failed(Arc::new(error), number),
        }
    }

    fn failed(&self, error: SharedError, number: u64) {
        let unit = self.shared.rng.unit();
        self.change_or_stale(|inside, now| {
            if inside.dial_number != number {
                return (None, false);
            }
            inside.dial = None;
            inside.renewal.failed(self.name(), &error);
            inside.error = Some(error);
            (inside.machine.failed(now, unit), true)
        });
    }

    /// The dial of this number made a connection, with settings of this generation.
    fn dialled(&self, mut fresh: Fresh, number: u64, generation: u64) {
        let Some(connection) = fresh.take() else {
            return;
        };
        let (watch, answer) = fresh.watch.take().unzip();
        let unit = self.shared.rng.unit();
        let mut replaced = Vec::new();
        self.change(|inside, now| {
            if inside.dial_number != number || inside.machine.state() == Connectivity::Shutdown {
                // It is not wanted any more.
                connection.retire();
                inside.draining.push(connection);
                return None;
            }
            inside.dial = None;
            inside.machine.dialled();
            inside.error = None;
            if !connection.is_open() {
                // Its task was faster.
                let was = watch::was(&connection);
                if !connection.is_over() {
                    inside.draining.push(connection);
                }
                return inside.machine.lost(was, now, unit);
            }
            inside.checked.restore(&connection, answer);
            inside.connections.push(connection);
            inside.made += 1;
            if generation != self.shared.connector.generation() {
                return inside.renew(now);
            }
            replaced = inside.replaced();
            None
        });
        // Calls find the new one by now. Those that are still given to an old one come back whole.
        for connection in replaced {
            connection.retire();
        }
        if let Some(watch) = watch {
            self.follow(watch);
        }
    }

    fn plan(&self, inside: &Inside) -> Plan {
        let settings = &self.shared.settings;
        // The silent one may come back, and then this is one more.
        let is_spare = inside.has_first() || !inside.silent.is_empty();
        let spare = is_spare.then_some(SPARE_IDLE);
        Plan {
            endpoint: Arc::clone(self.name()),
            load: Arc::clone(self.endpoint.load()),
            http2: settings.http2.clone(),
            max_requests: inside.max_requests,
            has_watch: self.shared.health.is_some(),
            keepalive: inside.keepalive,
            max_idle: match (settings.max_idle, spare) {
                (Some(idle), Some(spare)) => Some(idle.min(spare)),
                (idle, spare) => idle.or(spare),
            },
            connect_timeout: settings.connect_timeout,
            queue: Arc::clone(&self.shared.lines),
            complaints: Arc::clone(&self.complaints),
        }
    }

    /// Tells the balancer; what is news is an event.
    fn tell(&self, inside: &mut Inside, is_stale: bool) {
        let view = inside.view();
        let was_ready = inside.told.is_ready();
        inside.told.tell(self.name(), &view);
        if inside.told.is_ready() != was_ready {
            self.endpoint.load().set_ready(!was_ready);
        }
        self.shared.changes.add(self.number, is_stale);
    }
}

/// A dial that does not end by itself, since the connector panics, is a failed one.
struct BrokenOff<'a>(&'a Subchannel, u64);

impl Drop for BrokenOff<'_> {
    fn drop(&mut self) {
        let error = crate::error::BoxError::from("the dial was broken off: the connector panicked");
        self.0.failed(Arc::from(error), self.1);
    }
}

impl Inside {
    fn view(&self) -> View {
        View {
            state: self.machine.state(),
            made: self.made,
            is_connected: !self.connections.is_empty(),
            health: self.checked.view(),
            error: self.error.clone(),
            is_dialling: self.machine.is_dialling(),
            is_at_rest: self.machine.is_at_rest(),
            next_dial: self.machine.next_dial(),
            since: self.told.since(),
            go_aways: self.go_aways,
        }
    }

    /// A server that is pinged too often wants it half as often (gRFC A8).
    fn calm_down(&mut self) -> Option<Duration> {
        let keepalive = self.keepalive.as_mut()?;
        keepalive.time = keepalive.time.saturating_mul(2);
        Some(keepalive.time)
    }
}
