//! Client 4: tuned for a cluster where two of three nodes refuse each call.

use std::time::Duration;

use grpc_resilience::backoff::{Exponential, InvalidBackoff, Jitter};
use grpc_resilience::retry::RetryPolicy;
use grpc_resilience::wait_for_ready::WaitForReadyLayer;
use grpc_resilience::{Resilience, Resilient};

use crate::Failure;
use crate::count::CountedChannel;

/// The pauses between attempts, those of the loop written by hand as well. Two picks of three meet
/// a follower, so that most retries are not for an outage: the delay starts small and grows slowly.
pub(crate) fn pauses() -> Result<Exponential, InvalidBackoff> {
    // pauses:
    let pauses = Exponential::new(Duration::from_millis(4))?
        .multiplier(1.05)?
        .max(Duration::from_millis(100))?
        .jitter(Jitter::Equal);
    // end
    Ok(pauses)
}

/// `Append` is not declared, so it is never repeated.
pub(crate) fn wrap(channel: CountedChannel) -> Result<Resilient<CountedChannel>, Failure> {
    let pauses = pauses()?;
    // settings:
    let dials = Exponential::new(Duration::from_millis(20))?.max(Duration::from_millis(100))?;
    let channel = Resilience::new()
        .default_timeout(Duration::from_secs(5))
        .idempotent("/failover.v1.Kv/Get*")?
        .idempotent("/failover.v1.Kv/Put*")?
        .unary("/failover.v1.Kv/*")?
        .unlimited_budget()
        .retry(RetryPolicy::until_deadline().backoff(pauses))
        .wait_for_ready(WaitForReadyLayer::new().endpoints(3)?.backoff(dials))
        .wrap(channel);
    // end
    Ok(channel)
}

/// The code above that sets the client up, as it stands there.
pub(crate) fn settings() -> String {
    let parts = ["    // pauses:\n", "    // settings:\n"];
    shown(include_str!("tuned.rs"), &parts)
}

/// The lines of a source from each of these lines to the next `// end`.
pub(crate) fn shown(source: &str, parts: &[&str]) -> String {
    let lines = parts
        .iter()
        .filter_map(|begin| source.split_once(begin)?.1.split_once("    // end\n"))
        .flat_map(|(lines, _)| lines.lines());
    lines.collect::<Vec<_>>().join("\n")
}
