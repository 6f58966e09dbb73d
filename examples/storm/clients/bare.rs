//! tonic's channel by itself: the floor.

use std::net::SocketAddr;

use super::Caller;
use crate::Failure;
use crate::proto::storm_client::StormClient;

pub(crate) const SETTINGS: &str = "tonic's Channel, which repeats nothing";

pub(crate) async fn connect(address: SocketAddr) -> Result<impl Caller, Failure> {
    Ok(StormClient::new(super::connect(address).await?))
}
