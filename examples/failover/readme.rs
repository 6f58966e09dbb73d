//! Client 3: the README's set-up, word for word, but for the names of the methods.

use std::time::Duration;

use grpc_resilience::{Resilience, Resilient};

use crate::Failure;
use crate::count::CountedChannel as Channel;

/// `Append` is not declared, so it is never repeated.
pub(crate) fn wrap(channel: Channel) -> Result<Resilient<Channel>, Failure> {
    let channel: Resilient<Channel> = Resilience::new()
        .default_timeout(Duration::from_secs(5))
        .idempotent("/failover.v1.Kv/Get*")?
        .idempotent("/failover.v1.Kv/Put*")?
        .wrap(channel);
    Ok(channel)
}
