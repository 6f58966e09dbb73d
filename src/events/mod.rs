//! All `tracing` events: the only place that knows their target, fields and texts.
//!
//! A call that is answered at its first attempt emits no event, and checks no subscriber.

mod budget;
mod call;
mod channel;
mod configuration;
#[cfg(feature = "consul")]
mod consul;
#[cfg(feature = "server")]
pub(crate) mod drain;
#[cfg(feature = "channel")]
mod ejection;
#[cfg(feature = "channel")]
mod endpoint;
mod once;
#[cfg(feature = "channel")]
mod resolution;
#[cfg(feature = "server")]
pub(crate) mod server;
#[cfg(feature = "tonic")]
pub(crate) mod stream;

pub(crate) use budget::{budget_is_back, budget_is_empty};
#[cfg(feature = "channel")]
pub(crate) use call::has_ears_for_waits;
pub(crate) use call::{Failed, gave_up, retries, waits};
pub(crate) use channel::{calls_released, channel_is_back, channel_is_down, channel_is_shut_down};
#[cfg(feature = "channel")]
pub(crate) use channel::{health_ignored, tls_config_refused};
pub(crate) use configuration::*;
#[cfg(feature = "consul")]
pub(crate) use consul::*;
#[cfg(feature = "channel")]
pub(crate) use ejection::{
    Numbers, ejection_panic, endpoint_ejected, endpoint_probed, endpoint_returned,
    endpoint_still_ejected,
};
#[cfg(feature = "channel")]
pub(crate) use endpoint::{
    connection_answers, connection_is_dead, connection_is_silent, connection_not_renewed,
    endpoint_state, health_changed, health_unchecked, hostile_peer, too_many_pings,
};
pub(crate) use once::Once;
#[cfg(feature = "channel")]
pub(crate) use resolution::{
    addresses_changed, addresses_lapsed, resolution_failed, resolution_is_back,
};

/// The target of all events, whatever module they come from.
const TARGET: &str = "grpc_resilience";
