//! The clients: this crate's channel under `Resilience`, and tonic's balanced channel alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::channel::Channel;
use grpc_resilience::{Resilience, Resilient};
use tokio::time::{sleep, timeout};
use tonic::transport::{self, Endpoint};

use super::attempts::{Attempts, Counted};
use super::load::Caller;
use super::proto::fleet_client::FleetClient;
use crate::Failure;

/// What this crate is called in tables and plots.
pub const OURS: &str = "grpc-resilience";
/// What tonic is called there.
pub const TONIC: &str = "tonic";

/// The longest that connecting may take before a run begins.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many calls must succeed before a client counts as connected.
const WARM_UP: u32 = 30;

/// This crate's client.
pub type Ours = FleetClient<Resilient<Counted<Channel>>>;

/// All methods declared idempotent, a timeout of 5 s, and otherwise the defaults.
///
/// # Errors
///
/// None: the pattern is valid.
pub fn declared() -> Result<Resilience, Failure> {
    let resilience = Resilience::new().default_timeout(Duration::from_secs(5));
    Ok(resilience.idempotent("/**")?)
}

/// A client of these layers and its attempts, once its channel has this number of connections.
///
/// # Errors
///
/// It was not connected within 10 s.
pub async fn ours(
    resilience: &Resilience,
    channel: &Channel,
    servers: usize,
) -> Result<(Ours, Arc<Attempts>), Failure> {
    connected_to(channel, servers).await?;
    let attempts = Arc::<Attempts>::default();
    let counted = Counted::new(channel.clone(), Arc::clone(&attempts));
    Ok((FleetClient::new(resilience.wrap(counted)), attempts))
}

/// Waits until this number of endpoints has a connection.
///
/// # Errors
///
/// They had none within 10 s.
pub async fn connected_to(channel: &Channel, servers: usize) -> Result<(), Failure> {
    let waits = async {
        loop {
            let endpoints = channel.snapshot().endpoints;
            let ready = endpoints.iter().filter(|it| !it.connections.is_empty());
            if ready.count() >= servers {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    Ok(timeout(PATIENCE, waits).await?)
}

/// tonic's `balance_list` over these addresses, once it has answered calls.
///
/// # Errors
///
/// It answered none within 10 s.
pub async fn tonic(
    addresses: Vec<SocketAddr>,
    settings: impl Fn(Endpoint) -> Endpoint,
) -> Result<FleetClient<transport::Channel>, Failure> {
    let endpoints = addresses
        .into_iter()
        .map(|address| Endpoint::from_shared(format!("http://{address}")).map(&settings))
        .collect::<Result<Vec<_>, _>>()?;
    let channel = transport::Channel::balance_list(endpoints.into_iter());
    let client = FleetClient::new(channel);
    warmed(&client).await?;
    Ok(client)
}

/// Calls until some calls were answered, for clients that connect when they are called.
///
/// # Errors
///
/// They were not within 10 s.
pub async fn warmed(client: &impl Caller) -> Result<(), Failure> {
    let calls = async {
        let mut successes = 0;
        for call in 0.. {
            successes += u32::from(client.make(call).await.is_ok());
            if successes == WARM_UP {
                break;
            }
        }
    };
    Ok(timeout(PATIENCE, calls).await?)
}
