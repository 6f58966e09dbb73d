//! The registry: a real agent with faults before it, or a stand-in.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use grpc_resilience_examples::Failure;
use testing::ConsulAgent;

use crate::args::Args;

/// The tag of the instances that clients look for.
pub(crate) const LIVE: &str = "live";

/// The registry of one experiment.
pub(crate) struct Registry {
    /// What both the client and the instances are told to ask.
    pub(crate) agent: ConsulAgent,
    /// Of this experiment alone, so that no instance of one before is in it.
    pub(crate) service: String,
}

impl Registry {
    pub(crate) async fn start(args: &Args) -> Result<Self, Failure> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let agent = match args.consul {
            Some(address) => ConsulAgent::before(address).await?,
            None => ConsulAgent::start().await?,
        };
        let number = NUMBER.fetch_add(1, Relaxed);
        let service = format!("greeter-{}-{number}", std::process::id());
        Ok(Self { agent, service })
    }

    /// What clients connect to.
    pub(crate) fn target(&self) -> String {
        let Self { agent, service } = self;
        format!("consul://{}/{service}?tag={LIVE}", agent.address())
    }
}
