//! A check by gRPC's health service, run by a real agent.

use std::time::Duration;

use foreign::Failure;
use foreign::promises::Promises;
use grpc_resilience::channel::Channel;
use grpc_resilience::consul::{Check, Registration};
use tonic_health::ServingStatus;

use crate::agent::Agent;
use crate::server::{Server, until_ready};

const INTERVAL: Duration = Duration::from_secs(1);
/// A check's time and 1 s.
const LIMIT: Duration = Duration::from_secs(2);

pub(crate) async fn run(agent: &Agent, promises: &mut Promises) -> Result<(), Failure> {
    let (well, ill, dead) = (
        Server::start().await?,
        Server::start().await?,
        Server::start().await?,
    );
    let mut registered = Vec::new();
    for server in [&well, &ill, &dead] {
        let check = Check::grpc(INTERVAL).service("orders.v1.Orders");
        server
            .health
            .set_service_status("orders.v1.Orders", ServingStatus::Serving)
            .await;
        let registration = Registration::new("checks", server.address)
            .agent(agent.address().to_string())
            .check(check);
        registered.push(registration.register().await?);
    }
    let target = format!("consul://{}/checks", agent.address());
    let channel = Channel::builder(target).build()?;
    until_ready(&channel, &[&well, &ill, &dead]).await?;
    ill.health
        .set_service_status("orders.v1.Orders", ServingStatus::NotServing)
        .await;
    let took = until_ready(&channel, &[&well, &dead]).await?;
    println!("NOT_SERVING is heard of after {took:?}");
    promises.measure(
        took <= LIMIT,
        format!("heard of NOT_SERVING after {took:?}"),
    );
    // Its port is closed, as that of a process that was killed.
    drop(dead);
    let took = until_ready(&channel, &[&well]).await?;
    println!("a dead server is unused after {took:?}");
    promises.measure(
        took <= LIMIT,
        format!("a dead server was used for {took:?}"),
    );
    ill.health
        .set_service_status("orders.v1.Orders", ServingStatus::Serving)
        .await;
    let took = until_ready(&channel, &[&well, &ill]).await?;
    println!("SERVING is heard of after {took:?}");
    promises.measure(took <= LIMIT, format!("heard of SERVING after {took:?}"));
    for server in registered {
        server.deregister().await?;
    }
    Ok(())
}
