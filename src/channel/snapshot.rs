use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::connectivity::Connectivity;
use super::core::Core;
use super::eject::Tally;
use super::health::Health;
use super::subchannel::Subchannel;
use crate::classify::display_chain;

/// What a channel knows; for people, by its `Display`, which is a table, and for tests.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::channel::Channel;
///
/// let channel = Channel::builder("ipv4:127.0.0.1:50051").build()?;
/// println!("{}", channel.snapshot());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChannelSnapshot {
    /// What the channel was built for.
    pub target: String,
    /// The state of the best endpoint.
    pub state: Connectivity,
    /// Endpoints that are not healthy get calls, too; see
    /// [`Builder::panic_below`](super::Builder::panic_below).
    pub is_health_ignored: bool,
    /// Calls that wait for a connection or a stream.
    pub waiting: usize,
    /// The bytes of their requests, as far as they are known.
    pub waiting_bytes: usize,
    /// Why no endpoint could be reached, or the addresses could not be resolved: the latest reason,
    /// however long ago.
    pub error: Option<String>,
    /// In the resolver's order; those that were removed and still have calls are the last.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// What a channel knows of one endpoint; an entry of [`ChannelSnapshot::endpoints`].
///
/// ```
/// use grpc_resilience::channel::{Channel, EndpointSnapshot};
///
/// fn busiest(channel: &Channel) -> Option<EndpointSnapshot> {
///     let endpoints = channel.snapshot().endpoints;
///     endpoints.into_iter().max_by_key(|endpoint| endpoint.in_flight)
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointSnapshot {
    /// Its address.
    pub name: String,
    /// Its state.
    pub state: Connectivity,
    /// How long it has been in this state.
    pub since: Duration,
    /// What its server says of its health, of a channel with a
    /// [`health_check`](super::Builder::health_check) and an endpoint with a connection.
    pub health: Option<HealthSnapshot>,
    /// The resolver does not name it any more: it takes no call, and ends with those that it has.
    pub is_removed: bool,
    /// Calls on it.
    pub in_flight: u32,
    /// A moving average of the time to the first message of an answer.
    pub latency: Option<Duration>,
    /// Its part of the channel's recent calls, 0 to 1: calls of 8 s ago count half.
    pub share: f64,
    /// Calls that failed lately: those of a second ago count half.
    pub recent_failures: f64,
    /// How long it is still ejected; zero if a call is to decide whether it is back, `None` if it
    /// is not ejected. See [`Ejection`](super::Ejection).
    pub ejected_for: Option<Duration>,
    /// How often it was ejected in a row, this time included; 0 if it is not ejected.
    pub times_ejected: u32,
    /// Calls that failed since the last one that went well, as ejection counts them.
    pub consecutive_failures: u32,
    /// The part of its calls in the last 10 s that failed, 0 to 1, as ejection counts them; `None`
    /// without such calls, or without ejection.
    pub failure_rate: Option<f64>,
    /// Connections that received a GOAWAY.
    pub go_aways: u64,
    /// The connections that take calls, or would if the server were healthy; the oldest first.
    pub connections: Vec<ConnectionSnapshot>,
    /// Connections that take no call until they answer a PING, because attempts timed out on them
    /// and nothing was read.
    pub silent: Vec<ConnectionSnapshot>,
    /// Connections that take no new call, and end with those that they have.
    pub draining: Vec<ConnectionSnapshot>,
    /// How long until the next dial, if one is planned.
    pub next_dial: Option<Duration>,
    /// Why the last dial failed, or the last connection was lost, since the endpoint was ready.
    pub error: Option<String>,
}

/// What a channel knows of one connection; an entry of [`EndpointSnapshot::connections`].
///
/// ```
/// use grpc_resilience::channel::ConnectionSnapshot;
///
/// fn is_full(connection: &ConnectionSnapshot) -> bool {
///     connection.in_flight >= connection.limit
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// Calls on it.
    pub in_flight: u32,
    /// The most at a time: the server's limit, or a lower one of this side.
    pub limit: u32,
    /// How many streams were opened on it, health watches aside.
    pub streams: u32,
    /// How long it has been ready.
    pub age: Duration,
}

/// What a channel knows of the health of an endpoint: [`EndpointSnapshot::health`].
///
/// ```
/// use grpc_resilience::channel::HealthSnapshot;
///
/// fn show(health: &HealthSnapshot) -> String {
///     format!("{} for {:?}: {}", health.status, health.since, health.words)
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HealthSnapshot {
    /// What its server says; with several connections, the best that it says on one of them.
    pub status: Health,
    /// How long it has been so.
    pub since: Duration,
    /// The server's words, such as `NOT_SERVING` or `NOT_FOUND: unknown service`, or the reason why
    /// its health can't be checked.
    pub words: String,
}

impl ChannelSnapshot {
    pub(super) fn of(core: &Core) -> Self {
        let published = core.board.published();
        let here = published.set.all.iter().map(|it| (it, false));
        let removed = published.draining.iter().map(|it| (it, true));
        let all: Vec<_> = here.chain(removed).collect();
        let now = core.now();
        let calls = |it: &Subchannel| it.endpoint.load().recent_calls(now);
        let sum: f64 = all.iter().map(|(it, _)| calls(it)).sum();
        let share = |it: &Subchannel| if sum > 0.0 { calls(it) / sum } else { 0.0 };
        let endpoints = all.iter().map(|(it, is_removed)| EndpointSnapshot {
            share: share(it),
            is_removed: *is_removed,
            ..endpoint(it)
        });
        Self {
            target: core.target().to_owned(),
            state: published.state,
            is_health_ignored: published.is_health_ignored,
            waiting: core.shared.lines.calls(),
            waiting_bytes: core.shared.lines.bytes(),
            error: published.error.as_deref().map(|error| display_chain(error)),
            endpoints: endpoints.collect(),
        }
    }
}

fn endpoint(subchannel: &Subchannel) -> EndpointSnapshot {
    let (view, now) = (subchannel.view(), Instant::now());
    let [connections, silent, draining] = subchannel.connections();
    let of = |connections: Vec<Arc<Connection>>| {
        let each = connections.iter().map(|it| connection(it, now));
        each.collect()
    };
    let endpoint = &subchannel.endpoint;
    let load = endpoint.load();
    let clock = load.now();
    let record = load.tally().map(|it| it.record(clock));
    let standing = load.tally().map(Tally::standing);
    let left = |until: u64| Duration::from_nanos(until.saturating_sub(clock));
    EndpointSnapshot {
        name: endpoint.name().to_owned(),
        state: view.state,
        since: now.saturating_duration_since(view.since),
        health: view.health.map(|it| HealthSnapshot {
            status: it.answer.health,
            since: now.saturating_duration_since(it.since),
            words: it.answer.words.to_string(),
        }),
        is_removed: false,
        in_flight: endpoint.in_flight(),
        latency: endpoint.latency(),
        share: 0.0,
        recent_failures: endpoint.recent_failures(),
        ejected_for: standing.and_then(|it| it.out_until).map(left),
        times_ejected: standing.map_or(0, |it| it.times),
        consecutive_failures: record.map_or(0, |it| it.in_a_row),
        failure_rate: record.filter(|it| it.calls > 0).map(|it| it.rate()),
        go_aways: view.go_aways,
        connections: of(connections),
        silent: of(silent),
        draining: of(draining),
        next_dial: view.next_dial.map(|at| at.saturating_duration_since(now)),
        error: view.error.as_deref().map(|error| display_chain(error)),
    }
}

fn connection(connection: &Connection, now: Instant) -> ConnectionSnapshot {
    ConnectionSnapshot {
        in_flight: connection.slots.in_use(),
        limit: connection.slots.limit(),
        streams: connection.calls(),
        age: now.saturating_duration_since(connection.started),
    }
}

/// It is a column only of a channel that knows the health of an endpoint.
const HEALTH: &str = "health";

/// The columns of the table; the last error follows, as it may be long.
const COLUMNS: [&str; 13] = [
    "endpoint",
    "state",
    "for",
    HEALTH,
    "in flight",
    "share",
    "latency",
    "failures",
    "ejected",
    "connections",
    "streams",
    "GOAWAYs",
    "next dial",
];

impl fmt::Display for ChannelSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            target,
            state,
            waiting,
            ..
        } = self;
        write!(f, "{target}: {state}, {waiting} calls wait")?;
        if let Some(error) = self
            .error
            .as_ref()
            .filter(|_| *state != Connectivity::Ready)
        {
            write!(f, ", last error: {error}")?;
        }
        if self.is_health_ignored {
            f.write_str(", too few endpoints are healthy, so the others are used, too")?;
        }
        let rows: Vec<_> = self.endpoints.iter().map(EndpointSnapshot::cells).collect();
        let header = COLUMNS.map(str::to_owned);
        let all = || std::iter::once(&header).chain(&rows);
        let width = |column: usize| {
            let cells = all().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..COLUMNS.len()).map(width).collect();
        let has_health = self.endpoints.iter().any(|it| it.health.is_some());
        let errors = self.endpoints.iter().map(|it| it.error.as_deref());
        for (row, error) in all().zip(std::iter::once(Some("last error")).chain(errors)) {
            let mut line = String::from("\n ");
            let cells = row.iter().zip(&widths).zip(COLUMNS);
            for ((cell, width), _) in cells.filter(|(_, name)| *name != HEALTH || has_health) {
                line = format!("{line} {cell:<width$} ");
            }
            f.write_str(format!("{line} {}", error.unwrap_or_default()).trim_end_matches(' '))?;
        }
        Ok(())
    }
}

impl EndpointSnapshot {
    /// Such as `3 in a row, 12 %`.
    fn failures(&self) -> Option<String> {
        let rate = self.failure_rate.filter(|rate| *rate > 0.0);
        let rate = rate.map(|rate| format!("{:.0} %", rate * 100.0));
        let row = self.consecutive_failures;
        let row = (row > 0).then(|| format!("{row} in a row"));
        let both: Vec<_> = row.into_iter().chain(rate).collect();
        (!both.is_empty()).then(|| both.join(", "))
    }

    /// Such as `for 1.5s, 2 times`.
    fn ejection(&self) -> Option<String> {
        let left = self.ejected_for?;
        let times = self.times_ejected;
        Some(if left.is_zero() {
            format!("until probed, {times} times")
        } else {
            format!("for {left:.1?}, {times} times")
        })
    }

    fn cells(&self) -> [String; COLUMNS.len()] {
        let dash = || "-".to_owned();
        let shown = |duration: Duration| format!("{duration:.1?}");
        let streams: u64 = self
            .connections
            .iter()
            .map(|it| u64::from(it.streams))
            .sum();
        let mut connections = self.connections.len().to_string();
        for (others, how) in [(&self.silent, "silent"), (&self.draining, "draining")] {
            if !others.is_empty() {
                connections = format!("{connections} + {} {how}", others.len());
            }
        }
        [
            self.name.clone(),
            if self.is_removed {
                "removed".into()
            } else {
                self.state.to_string()
            },
            shown(self.since),
            self.health
                .as_ref()
                .map_or_else(dash, HealthSnapshot::to_string),
            self.in_flight.to_string(),
            format!("{:.0} %", self.share * 100.0),
            self.latency.map_or_else(dash, shown),
            self.failures().unwrap_or_else(dash),
            self.ejection().unwrap_or_else(dash),
            connections,
            streams.to_string(),
            self.go_aways.to_string(),
            self.next_dial
                .map_or_else(dash, |it| format!("in {it:.1?}")),
        ]
    }
}

impl fmt::Display for HealthSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            since,
            words,
        } = self;
        match status {
            Health::Ended | Health::Unchecked => write!(f, "{status} ({words})")?,
            _ => f.write_str(words)?,
        }
        write!(f, " for {since:.1?}")
    }
}

impl fmt::Display for EndpointSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, cell) in COLUMNS.iter().zip(self.cells()) {
            match *name {
                "endpoint" => write!(f, "{cell}:")?,
                "state" => write!(f, " {cell}")?,
                _ if cell == "-" => {}
                name => write!(f, ", {name} {cell}")?,
            }
        }
        match &self.error {
            Some(error) => write!(f, ", last error: {error}"),
            None => Ok(()),
        }
    }
}
