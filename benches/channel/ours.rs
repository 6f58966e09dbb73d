//! Our channel, bare and under our layers.

use benches::{Failure, call};
use grpc_resilience::Resilience;
use grpc_resilience::channel::Channel;

use crate::subjects::{Subject, TIMEOUT, never, retrying};

/// A single connection.
pub(crate) const ONE: &str = "our channel, one connection";
/// With its defaults: a second connection, if calls come together.
pub(crate) const OURS: &str = "our channel";
/// All layers active, over a single connection.
pub(crate) const LAYERED: &str = "Resilience, our channel, one connection";

/// Each over connections of its own; within a runtime.
pub(crate) fn channels(server: &str) -> Result<Vec<Subject>, Failure> {
    let ours = || Channel::builder(server);
    Ok(vec![
        never(ONE, ours().max_connections(1).build()?),
        never(OURS, ours().build()?),
    ])
}

/// All layers active with a timeout; within a runtime.
pub(crate) fn layers(server: &str) -> Result<Vec<Subject>, Failure> {
    let ours = || Channel::builder(server);
    let stack = Resilience::new()
        .idempotent(call::METHOD)?
        .default_timeout(TIMEOUT);
    Ok(vec![
        retrying(LAYERED, stack.wrap(ours().max_connections(1).build()?)),
        retrying("Resilience, our channel", stack.wrap(ours().build()?)),
    ])
}
