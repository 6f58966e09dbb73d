//! This crate, with the defaults of all that is measured.

use std::net::SocketAddr;
use std::time::Duration;

use grpc_resilience::Resilience;

use super::Caller;
use crate::Failure;
use crate::proto::storm_client::StormClient;

pub(crate) const SETTINGS: &str = "Resilience::new(), all methods declared idempotent, a timeout of 5 s; by default 4 attempts, a backoff of
100 ms doubling to 1 s with full jitter, and a budget of 300 tokens that gains 0.2 a success and lets retries go while
more than half of it is there";

pub(crate) async fn connect(address: SocketAddr) -> Result<impl Caller, Failure> {
    let channel = Resilience::new()
        .default_timeout(Duration::from_secs(5))
        .idempotent("/**")?
        .wrap(super::connect(address).await?);
    Ok(StormClient::new(channel))
}
