use std::time::Duration;

/// How Consul finds out whether a server is well.
///
/// ```
/// use grpc_resilience::consul::Check;
/// use std::time::Duration;
///
/// // The agent asks the server's health service for `orders.v1.Orders`, every five seconds.
/// let check = Check::grpc(Duration::from_secs(5)).service("orders.v1.Orders");
/// // The server says that it is well; if it has said nothing for 15 s, it is not.
/// let other = Check::ttl(Duration::from_secs(15));
/// assert_ne!(check, other);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub(super) kind: Kind,
    /// In the health service.
    pub(super) service: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Grpc { interval: Duration },
    Ttl { ttl: Duration },
}

/// Consul takes no shorter ones; it runs a check at most once a second.
pub(super) const LEAST: Duration = Duration::from_secs(1);

impl Check {
    /// The agent calls the server's health service (gRPC's `grpc.health.v1.Health`), again and
    /// again with this pause, at least 1 s. The server counts as well from its first answer
    /// SERVING on.
    ///
    /// A server that is killed is found out by the next check. It needs a health service, as that
    /// of `tonic-health`. The agent asks without TLS: for a server with TLS use
    /// [`ttl`](Self::ttl).
    #[must_use]
    pub fn grpc(interval: Duration) -> Self {
        Self {
            kind: Kind::Grpc { interval },
            service: None,
        }
    }

    /// The server reports three times in this time, at least 1 s, that it is well. If the agent
    /// hears nothing for so long, the server counts as failed. It counts as well at once when it
    /// registers.
    ///
    /// This needs no health service, and no way from the agent to the server. It does not find out
    /// that a server hangs, as long as the tasks of its runtime run.
    #[must_use]
    pub fn ttl(ttl: Duration) -> Self {
        Self {
            kind: Kind::Ttl { ttl },
            service: None,
        }
    }

    /// The name that the health service is asked for. Default: the empty one, which is the whole
    /// server. For [`grpc`](Self::grpc) only; with a TTL it is a fault of
    /// [`register`](super::Registration::register).
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// How long a server that died can still be found.
    pub(super) fn period(&self) -> Duration {
        match self.kind {
            Kind::Grpc { interval } => interval,
            Kind::Ttl { ttl } => ttl,
        }
    }
}
