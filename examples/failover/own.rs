//! Client 5: client 4 over this crate's own channel.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::backoff::Exponential;
use grpc_resilience::channel::Channel;
use grpc_resilience::retry::RetryPolicy;
use grpc_resilience::{Resilience, Resilient};

use crate::Failure;
use crate::count::{Attempts, Counted};
use crate::tuned::pauses;

/// `Append` is not declared, so it is never repeated.
pub(crate) fn wrap(
    nodes: &[SocketAddr],
    attempts: &Arc<Attempts>,
) -> Result<Resilient<Counted<Channel>>, Failure> {
    let nodes: Vec<_> = nodes.iter().map(SocketAddr::to_string).collect();
    let (nodes, pauses) = (nodes.join(","), pauses()?);
    // settings:
    let dials = Exponential::new(Duration::from_millis(20))?.max(Duration::from_millis(100))?;
    let channel = Channel::builder(format!("ipv4:{nodes}"))
        .connect_timeout(Duration::from_millis(500))
        .backoff(dials)
        .build()?;
    let channel = Counted::new(channel, Arc::clone(attempts));
    let channel = Resilience::new()
        .default_timeout(Duration::from_secs(5))
        .idempotent("/failover.v1.Kv/Get*")?
        .idempotent("/failover.v1.Kv/Put*")?
        .unlimited_budget()
        .retry(RetryPolicy::until_deadline().backoff(pauses))
        .wrap(channel);
    // end
    Ok(channel)
}

/// The code above that sets the client up, as it stands there.
pub(crate) fn settings() -> String {
    crate::tuned::shown(include_str!("own.rs"), &["    // settings:\n"])
}
