//! Who calls.

use std::time::Duration;

use benches::peer_stacks::{tower_resilience_four, tower_resilience_retry, tower_retry};
use benches::{Failure, call};
use grpc_resilience::Resilience;
use http::{HeaderValue, Request};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::timeout::Timeout;
use tower::util::MapRequestLayer;
use tower::{Layer, ServiceExt};

use crate::turn::Caller;

/// A channel by name, bare or under a stack.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// Whether it calls again after UNAVAILABLE.
    pub(crate) retries: bool,
    pub(crate) caller: Box<dyn Caller>,
}

/// What the others are compared with.
pub(crate) const BARE: &str = "bare";
/// The same channel once more: what the two differ by is chance.
pub(crate) const AGAIN: &str = "bare, once more";
/// What something was promised of.
pub(crate) const OURS: &str = "Resilience";

pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The bare channel and its stacks, each over a connection of its own.
pub(crate) fn all(server: &Endpoint, envoy: Option<&Endpoint>) -> Result<Vec<Subject>, Failure> {
    let mut all = bare(server);
    all.extend(stacks(server, envoy)?);
    Ok(all)
}

/// The bare channel twice.
pub(crate) fn bare(server: &Endpoint) -> Vec<Subject> {
    vec![
        never(BARE, server.connect_lazy()),
        never(AGAIN, server.connect_lazy()),
    ]
}

/// What is put around the bare channel.
pub(crate) fn stacks(server: &Endpoint, envoy: Option<&Endpoint>) -> Result<Vec<Subject>, Failure> {
    let unbounded = Resilience::new().idempotent(call::METHOD)?;
    let stack = unbounded.clone().default_timeout(TIMEOUT);
    // As `tonic::Request::set_timeout` does it.
    let timed = MapRequestLayer::new(|mut request: Request<Body>| {
        let thirty_seconds = HeaderValue::from_static("30S");
        request.headers_mut().insert("grpc-timeout", thirty_seconds);
        request
    });
    let with_timer = || {
        let channel = server.connect_lazy();
        let timed = Timeout::new(channel, TIMEOUT);
        timed.map_err(Status::from_error)
    };
    // The peers' policies judge a status.
    let judged = || {
        let channel = server.connect_lazy();
        channel.map_err(|error| Status::from_error(Box::new(error)))
    };
    let mut all = vec![
        never("bare, grpc-timeout", timed.layer(server.connect_lazy())),
        retrying(OURS, stack.layer(server.connect_lazy())),
        retrying(
            "Resilience, no timeout",
            unbounded.layer(server.connect_lazy()),
        ),
        retrying("tower::retry", tower_retry(judged())),
        retrying("tower::retry, tower::timeout", tower_retry(with_timer())),
        // To these an answer is a success, whatever its status.
        never("tower-resilience retry", tower_resilience_retry(judged())),
        never(
            "tower-resilience, its four layers",
            tower_resilience_four(judged())?,
        ),
    ];
    if let Some(envoy) = envoy {
        all.push(retrying("through an Envoy sidecar", envoy.connect_lazy()));
    }
    Ok(all)
}

pub(crate) fn retrying(name: &'static str, caller: impl Caller + 'static) -> Subject {
    Subject {
        name,
        retries: true,
        caller: Box::new(caller),
    }
}

pub(crate) fn never(name: &'static str, caller: impl Caller + 'static) -> Subject {
    Subject {
        retries: false,
        ..retrying(name, caller)
    }
}
