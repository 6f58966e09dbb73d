//! Who calls.

use std::time::Duration;

use benches::peer_stacks::{tower_resilience_four, tower_resilience_retry, tower_retry};
use benches::{Failure, call};
use grpc_resilience::Resilience;
use tonic::Status;
use tonic::transport::Endpoint;
use tower::{Layer, ServiceExt};

use crate::turn::Caller;

/// What the others are compared with.
pub(crate) const BARE: &str = "bare";
/// What something was promised of.
pub(crate) const OURS: &str = "Resilience";

/// A channel by name.
pub(crate) type Subject = (&'static str, Box<dyn Caller>);

/// Each over a connection of its own. The bare channel twice: what the two differ by is chance.
pub(crate) fn all(server: &Endpoint, envoy: Option<&Endpoint>) -> Result<Vec<Subject>, Failure> {
    let stack = Resilience::new()
        .default_timeout(Duration::from_secs(30))
        .idempotent(call::METHOD)?;
    // What the policies of the peers judge.
    let channel = || {
        let channel = server.connect_lazy();
        channel.map_err(|error| Status::from_error(Box::new(error)))
    };
    let mut all: Vec<Subject> = vec![
        (BARE, Box::new(server.connect_lazy())),
        ("bare, once more", Box::new(server.connect_lazy())),
        (OURS, Box::new(stack.layer(server.connect_lazy()))),
        ("tower::retry", Box::new(tower_retry(channel()))),
        (
            "tower-resilience retry",
            Box::new(tower_resilience_retry(channel())),
        ),
        (
            "tower-resilience, its four layers",
            Box::new(tower_resilience_four(channel())?),
        ),
    ];
    if let Some(envoy) = envoy {
        all.push(("through an Envoy sidecar", Box::new(envoy.connect_lazy())));
    }
    Ok(all)
}
