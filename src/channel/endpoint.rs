//! What calls, pickers and snapshots know of one endpoint.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use twox_hash::XxHash64;

use super::address::Address;
use super::connection::Connection;
use super::load::Load;

/// An endpoint to which a call can go, as a [`Picker`](super::pick::Picker) sees it.
///
/// ```
/// use grpc_resilience::channel::pick::{Call, Picker, Ready};
///
/// /// Picks the endpoint with the shortest latency.
/// #[derive(Debug)]
/// struct Fastest;
///
/// impl Picker for Fastest {
///     fn pick(&self, ready: &Ready<'_>, _call: &Call<'_>) -> usize {
///         let latency = |index: &usize| ready.get(*index).and_then(|it| it.latency());
///         (0..ready.len()).min_by_key(latency).unwrap_or(0)
///     }
/// }
/// ```
pub struct ReadyEndpoint {
    name: Arc<str>,
    address: Address,
    /// Of the name: the same in every process.
    hash: u64,
    load: Arc<Load>,
    /// Those that take calls, the oldest first. They change without a new snapshot of the channel.
    connections: ArcSwap<Vec<Arc<Connection>>>,
}

impl ReadyEndpoint {
    pub(super) fn new(address: Address, load: Load) -> Self {
        let name: Arc<str> = address.to_string().into();
        Self {
            hash: XxHash64::oneshot(0, name.as_bytes()),
            name,
            address,
            load: Arc::new(load),
            connections: ArcSwap::from_pointee(Vec::new()),
        }
    }

    /// Its address in words, such as `10.0.0.1:50051` or `unix:/run/orders.sock`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A hash of its name, the same in every process.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Calls in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// A moving average of how long its calls take until the first message of the answer; `None`
    /// before the first call has ended.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.load.latency()
    }

    /// How many of its calls failed lately; each counts half as much every second.
    #[must_use]
    pub fn recent_failures(&self) -> f64 {
        self.load.recent_failures(self.load.now())
    }

    #[inline]
    pub(super) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    #[inline]
    pub(super) fn connections(&self) -> arc_swap::Guard<Arc<Vec<Arc<Connection>>>> {
        self.connections.load()
    }

    pub(super) fn set_connections(&self, connections: Vec<Arc<Connection>>) {
        self.connections.store(Arc::new(connections));
    }
}

impl fmt::Debug for ReadyEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyEndpoint")
            .field("name", &self.name)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
