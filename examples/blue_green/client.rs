//! The client: this crate's channel to the service, and `Resilience` with its defaults.

use std::time::Duration;

use grpc_resilience::channel::Channel;
use grpc_resilience::channel::pick::RoundRobin;
use grpc_resilience::{Resilience, Resilient};
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::proto::Answer;
use grpc_resilience_examples::fleet::{Caller, connected_to};
use tonic::Status;

use crate::agent::Registry;
use crate::proto::Hello;
use crate::proto::greeter_client::GreeterClient;

const TIMEOUT: Duration = Duration::from_secs(5);

/// No method of it is declared idempotent, unless said so: a call that may have run is not made
/// again.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) channel: Channel,
    pub(crate) greeter: GreeterClient<Resilient<Channel>>,
}

impl Client {
    /// Once it is connected to this number of instances.
    pub(crate) async fn new(registry: &Registry, instances: usize) -> Result<Self, Failure> {
        Self::of(registry, instances, Resilience::new()).await
    }

    /// The same, whose calls may be repeated.
    pub(crate) async fn declared(registry: &Registry, instances: usize) -> Result<Self, Failure> {
        let resilience = Resilience::new().idempotent("/**")?;
        Self::of(registry, instances, resilience).await
    }

    async fn of(
        registry: &Registry,
        instances: usize,
        resilience: Resilience,
    ) -> Result<Self, Failure> {
        // Round robin, as the system that this follows has it: a new instance gets its share from
        // the first round on. The default picker gives it less for 2 s, so that by chance its first
        // call came 344 ms after it passed.
        let channel = Channel::builder(registry.target())
            .picker(RoundRobin::new())
            .build()?;
        connected_to(&channel, instances).await?;
        let resilient = resilience.default_timeout(TIMEOUT).wrap(channel.clone());
        Ok(Self {
            channel,
            greeter: GreeterClient::new(resilient),
        })
    }
}

impl Caller for Client {
    fn make(&self, _: u32) -> impl Future<Output = Result<Answer, Status>> + Send + 'static {
        let mut greeter = self.greeter.clone();
        async move {
            let greeting = greeter.greet(Hello {}).await?.into_inner();
            Ok(Answer {
                server: greeting.instance,
                connections: 0,
            })
        }
    }
}
