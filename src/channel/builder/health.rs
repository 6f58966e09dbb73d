//! Settings of the health gate.

use super::Builder;
use crate::channel::pick::Connect;
use crate::error::Faults;

impl Builder {
    /// Sends calls only to servers that say of this service that it is SERVING, by gRPC's health
    /// checking protocol (`grpc.health.v1.Health/Watch`; gRFC A17). The empty name asks for the
    /// health of the whole server. Default: no health check, because a server without a health
    /// service, or one that does not know the name, is common.
    ///
    /// Each connection has one watch, and is ready only once that says SERVING. `NOT_SERVING`,
    /// `UNKNOWN` and `SERVICE_UNKNOWN` close nothing: running calls go on, and no new one comes
    /// until the next SERVING. A watch that ends is begun again: at once after a message, else with
    /// the channel's [`backoff`](Self::backoff), and never within 100 ms. The first answer is part
    /// of the [`connect_timeout`](Self::connect_timeout).
    ///
    /// A server without a health service (UNIMPLEMENTED) counts as healthy, with an event (WARN),
    /// as gRFC A17 has it. `NOT_FOUND`, with which tonic's health service ends the watch of a name
    /// that it does not know, counts as "not yet". A server that allows one stream at a time
    /// counts as healthy, with such an event, because the watch would use that stream up.
    ///
    /// A watch is no call: pickers, [`max_idle`](Self::max_idle),
    /// [`max_concurrent_streams`](Self::max_concurrent_streams) and the figures of a snapshot leave
    /// it out. It does count for the server's limit of streams, and keeps PINGs going.
    ///
    /// Clones of a channel share its watches; two channels do not.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use grpc_resilience::channel::Channel;
    ///
    /// // The leader of a Raft cluster gets the calls, and no other node.
    /// let channel = Channel::builder("ipv4:10.0.0.1:50051,10.0.0.2:50051,10.0.0.3:50051")
    ///     .health_check("quis.RaftLeader")
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn health_check(mut self, service: impl Into<String>) -> Self {
        self.config.health_check = Some(service.into().into());
        self
    }

    /// Uses connected endpoints that are not healthy, too, while fewer than this fraction of the
    /// connected endpoints are healthy: above 0, and at most 1, with which health decides only
    /// while all are healthy. Default: off, because the servers of a cluster with a leader are not
    /// healthy in this sense, and must get no call.
    ///
    /// It is for servers whose health checks may all fail together, for a reason of their own.
    /// Addresses without a connection do not count. Begin and end are events (WARN and INFO) with
    /// the numbers. With one connection for all addresses
    /// ([`PickFirst`](super::super::pick::PickFirst)) it is a fault, and so it is without a
    /// [`health_check`](Self::health_check).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use grpc_resilience::channel::Channel;
    ///
    /// let channel = Channel::builder("dns:///orders.prod:50051")
    ///     .health_check("orders.v1.Orders")
    ///     .panic_below(0.5)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn panic_below(mut self, fraction: f64) -> Self {
        self.config.panic_below = Some(fraction);
        self
    }

    pub(super) fn check_health(&self, faults: &mut Faults) {
        let Some(fraction) = self.config.panic_below else {
            return;
        };
        faults.check("panic_below", fraction > 0.0 && fraction <= 1.0, || {
            format!("{fraction}: it must be greater than 0 and at most 1")
        });
        faults.check("panic_below", self.config.health_check.is_some(), || {
            "it needs a health_check, without which all endpoints count as healthy".into()
        });
        let is_to_first = matches!(self.picker.connect(), Connect::ToFirst { .. });
        faults.check("panic_below", !is_to_first, || {
            "the picker connects to one address, which is no fraction of the endpoints".into()
        });
    }
}
