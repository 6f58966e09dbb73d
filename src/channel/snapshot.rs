use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::connectivity::Connectivity;
use super::core::Core;
use super::subchannel::Subchannel;
use crate::classify::display_chain;

/// What a channel knows; for people, by its `Display`, and for tests.
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
    /// The state of the best endpoint.
    pub state: Connectivity,
    /// Calls that wait for a connection or a stream.
    pub waiting: usize,
    /// The bytes of their requests, as far as they are known.
    pub waiting_bytes: usize,
    /// In the order of the target.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// What a channel knows of one endpoint; an entry of [`ChannelSnapshot::endpoints`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::channel::Channel;
///
/// let channel = Channel::builder("ipv4:127.0.0.1:50051").build()?;
/// let endpoint = &channel.snapshot().endpoints[0];
/// assert_eq!(endpoint.name, "127.0.0.1:50051");
/// assert!(endpoint.connections.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointSnapshot {
    /// Its address.
    pub name: String,
    /// Its state.
    pub state: Connectivity,
    /// The connections that take calls, the oldest first.
    pub connections: Vec<ConnectionSnapshot>,
    /// How long until the next dial, if one is planned.
    pub next_dial: Option<Duration>,
    /// Why the last dial failed, or the last connection was lost, since the endpoint was ready.
    pub error: Option<String>,
}

/// What a channel knows of one connection; an entry of [`EndpointSnapshot::connections`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::channel::{Channel, ConnectionSnapshot};
///
/// let channel = Channel::builder("ipv4:127.0.0.1:50051").build()?;
/// let endpoints = channel.snapshot().endpoints;
/// let connections = endpoints.iter().flat_map(|it| &it.connections);
/// let calls: u32 = connections.map(|it: &ConnectionSnapshot| it.in_flight).sum();
/// assert_eq!(calls, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// Calls on it.
    pub in_flight: u32,
    /// The most at a time: the server's limit, or a lower one of this side.
    pub limit: u32,
    /// How long it has been ready.
    pub age: Duration,
}

impl ChannelSnapshot {
    pub(super) fn of(core: &Core) -> Self {
        Self {
            state: core.shared.published().state,
            waiting: core.shared.queue.calls(),
            waiting_bytes: core.shared.queue.bytes(),
            endpoints: core.endpoints.iter().map(|it| endpoint(it)).collect(),
        }
    }
}

fn endpoint(endpoint: &Subchannel) -> EndpointSnapshot {
    let (view, now) = (endpoint.view(), Instant::now());
    let connections = view.connections.iter().map(|it| ConnectionSnapshot {
        in_flight: it.slots.in_use(),
        limit: it.slots.limit(),
        age: now.saturating_duration_since(it.started),
    });
    EndpointSnapshot {
        name: endpoint.name.to_string(),
        state: view.state,
        connections: connections.collect(),
        next_dial: view.next_dial.map(|at| at.saturating_duration_since(now)),
        error: view.error.as_deref().map(|error| display_chain(error)),
    }
}

impl fmt::Display for ChannelSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} calls wait", self.state, self.waiting)?;
        for endpoint in &self.endpoints {
            write!(f, "\n  {endpoint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for EndpointSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.state)?;
        for connection in &self.connections {
            write!(f, ", {connection}")?;
        }
        if let Some(next) = self.next_dial {
            write!(f, ", next dial in {next:?}")?;
        }
        match &self.error {
            Some(error) => write!(f, ", last error: {error}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ConnectionSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            u32::MAX => write!(f, "{} calls in flight", self.in_flight),
            limit => write!(f, "{} of {limit} calls in flight", self.in_flight),
        }
    }
}
