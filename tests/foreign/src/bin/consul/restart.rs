//! The agent is killed, and started again without all it knew.

use std::time::Duration;

use foreign::Failure;
use foreign::promises::Promises;
use grpc_resilience::channel::Channel;
use grpc_resilience::consul::{Check, Registration};
use test_protos::{EchoClient, EchoRequest};
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::agent::Agent;
use crate::server::{Server, until_ready};

const TTL: Duration = Duration::from_secs(2);
const DOWN: Duration = Duration::from_secs(10);
/// Longer than all of it takes.
const CALLS: Duration = Duration::from_secs(25);

pub(crate) async fn run(agent: &mut Agent, promises: &mut Promises) -> Result<(), Failure> {
    let (old, new) = (Server::start().await?, Server::start().await?);
    let registration = |server: &Server| {
        Registration::new("restart", server.address)
            .agent(agent.address().to_string())
            .check(Check::ttl(TTL))
    };
    let second = registration(&new);
    let first = registration(&old).register().await?;
    let target = format!("consul://{}/restart", agent.address());
    let channel = Channel::builder(target).build()?;
    until_ready(&channel, &[&old]).await?;
    let calls = tokio::spawn(call(channel.clone(), CALLS));
    let down = Instant::now();
    agent.kill().await?;
    sleep(DOWN).await;
    agent.restart().await?;
    // Only an agent that knows the first server again has both.
    let second = second.register().await?;
    let took = until_ready(&channel, &[&old, &new]).await;
    println!("the agent was killed for {DOWN:?}, and forgot all; both are known: {took:?}");
    promises.check(
        took.is_ok(),
        format!("after {:?}: {}", down.elapsed(), channel.snapshot()),
    );
    let (made, failed) = calls.await?;
    println!("{failed} of {made} calls failed");
    promises.check(
        failed == 0 && made > 0,
        format!("{failed} of {made} failed"),
    );
    first.deregister().await?;
    let took = until_ready(&channel, &[&new]).await?;
    println!("a change after the restart is heard of after {took:?}");
    second.deregister().await?;
    Ok(())
}

/// Calls for this time: how many were made, and failed on the way.
async fn call(channel: Channel, length: Duration) -> (u32, u32) {
    let mut client = EchoClient::new(channel);
    let (mut made, mut failed) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < length {
        made += 1;
        let answer = client.unary(EchoRequest::default()).await;
        // What the service says of a call without an id is no matter.
        let is_lost = answer.is_err_and(|status| status.code() == Code::Unavailable);
        failed += u32::from(is_lost);
        sleep(Duration::from_millis(5)).await;
    }
    (made, failed)
}
