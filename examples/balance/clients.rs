//! Channels to the servers of an experiment.

use std::net::SocketAddr;

use grpc_resilience::channel::{Builder, Channel};
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::Server;

/// A channel to these servers.
pub(crate) fn to(servers: &[Server]) -> Result<Builder, Failure> {
    let addresses = addresses(servers)?;
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    Ok(Channel::builder(format!("ipv4:{}", addresses.join(","))))
}

/// Where they are.
pub(crate) fn addresses(servers: &[Server]) -> Result<Vec<SocketAddr>, Failure> {
    servers.iter().map(Server::address).collect()
}
