//! The first call after a pause.

use std::time::Duration;

use grpc_resilience::CallOptionsExt;
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::proto::Question;
use grpc_resilience_examples::fleet::{connected_to, declared, ours};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use tokio::time::{Instant, sleep};
use tonic::Request;

use crate::args::Args;
use crate::clients::channel;
use crate::dns::{Fleet, SERVERS};

const NAME: &str = "idle";

/// Runs it, and prints what it saw.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let fleet = Fleet::start().await?;
    let all = usize::from(SERVERS);
    fleet.name(0..all)?;
    let channel = channel(fleet.target()?)?;
    // No call has been made, and the connections are there.
    connected_to(&channel, all).await?;
    let (mut client, _) = ours(&declared()?, &channel, all).await?;
    let idle = Duration::from_secs(if args.quick { 2 } else { 5 });
    watch("idle: no call", idle, sleep(idle)).await?;
    let before = Instant::now();
    let first = client.ask(Question::default()).await?.into_inner();
    let took = before.elapsed();
    let mut connections = Vec::new();
    for address in fleet.addresses(0..all)? {
        let mut request = Request::new(Question { call: 1, millis: 0 });
        request.call_options().endpoint(address);
        connections.push(client.ask(request).await?.into_inner().connections);
    }
    println!("\nidle: the first call after {idle:?} took {took:.1?}; the channel then shows:");
    println!("{}", channel.snapshot());
    Ok(vec![Promise::new(
        NAME,
        "the first call after a pause makes no connection: each of six servers has one",
        format!(
            "{} at the first call's server; of the six: {connections:?}",
            first.connections
        ),
        first.connections == 1 && connections.iter().all(|count| *count == 1),
    )])
}
