//! Channels to a name: this crate's, and that of `warm_channels`.

use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::channel::{Builder, Channel};
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::proto::fleet_client::FleetClient;
use grpc_resilience_examples::fleet::{Caller, warmed};
use hickory_resolver::Resolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::name_server::TokioConnectionProvider;
use hickory_resolver::proto::xfer::Protocol;
use tokio::task::JoinSet;
use warm_channels::grpc::{GRPCChannelConfig, GRPCHealthCheckConfig};
use warm_channels::stream::TCPConnector;

use crate::dns::Target;

pub(crate) const WARM: &str = "warm_channels";

/// Looks the name up at least every second, and is otherwise as it is by default.
pub(crate) fn channel(target: Target) -> Result<Channel, Failure> {
    Ok(builder(target).build()?)
}

/// The same, still to be configured.
pub(crate) fn builder(target: Target) -> Builder {
    let Target { dns, name, port } = target;
    let builder = Channel::builder(format!("dns://{dns}/{name}:{port}"));
    builder.dns_min_ttl(Duration::from_secs(1))
}

/// `warm_channels`' channel, and its worker; without health checks, like the other clients beside
/// it.
pub(crate) async fn warm(target: Target) -> Result<(impl Caller, JoinSet<()>), Failure> {
    let Target { dns, name, port } = target;
    let mut config = ResolverConfig::new();
    config.add_name_server(NameServerConfig::new(dns, Protocol::Udp));
    let resolver = Resolver::builder_with_config(config, TokioConnectionProvider::default());
    let uri: http::Uri = format!("http://{name}:{port}").parse()?;
    let addresses = warm_channels::resolve_uri(&uri, Arc::new(resolver.build()))?;
    let settings = GRPCChannelConfig {
        health_checking: GRPCHealthCheckConfig {
            service: None,
            ..GRPCHealthCheckConfig::default()
        },
        ..GRPCChannelConfig::default()
    };
    let connector = TCPConnector;
    let (channel, worker) =
        warm_channels::grpc_channel(uri.clone(), settings, "fleet", connector, addresses, |_| {});
    let mut workers = JoinSet::new();
    workers.spawn(worker);
    let client = FleetClient::with_origin(channel, uri);
    warmed(&client).await?;
    Ok((client, workers))
}
