//! Clients 4 and 5: the README's lines, but for the nodes' addresses and the names of the methods.

use std::net::SocketAddr;
use std::time::Duration;

use grpc_resilience::channel::Channel;
use grpc_resilience::{Resilience, Resilient};

use grpc_resilience_examples::Failure;

/// Client 5's channel.
pub(crate) fn channel(nodes: &[SocketAddr]) -> Result<Channel, Failure> {
    let nodes: Vec<_> = nodes.iter().map(SocketAddr::to_string).collect();
    let nodes = format!("ipv4:{}", nodes.join(","));
    // channel:
    let channel = Channel::builder(nodes)
        .health_check("quis.RaftLeader")
        .build()?;
    // end
    Ok(channel)
}

/// `Append` is not declared, so that it is never repeated once it may have run.
pub(crate) fn layers<S: Clone>(channel: S) -> Result<Resilient<S>, Failure> {
    // layers:
    let channel = Resilience::new()
        .default_timeout(Duration::from_secs(5))
        .idempotent("/failover.v1.Kv/Get*")?
        .idempotent("/failover.v1.Kv/Put*")?
        .wrap(channel);
    // end
    Ok(channel)
}

/// The code above that sets client 5 up, as it stands there.
pub(crate) fn settings() -> String {
    let source = include_str!("readme.rs");
    let parts = ["    // channel:\n", "    // layers:\n"];
    let lines = parts
        .iter()
        .filter_map(|begin| source.split_once(begin)?.1.split_once("    // end\n"))
        .flat_map(|(lines, _)| lines.lines());
    lines.collect::<Vec<_>>().join("\n")
}
