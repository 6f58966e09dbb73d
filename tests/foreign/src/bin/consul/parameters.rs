//! The parameters of a target, as a real agent understands them.

use foreign::Failure;
use foreign::promises::Promises;
use grpc_resilience::channel::Channel;
use grpc_resilience::consul::Registration;

use crate::agent::Agent;
use crate::server::{Server, ready, until_ready};

pub(crate) async fn run(agent: &Agent, promises: &mut Promises) -> Result<(), Failure> {
    let (blue, green) = (Server::start().await?, Server::start().await?);
    let register = |server: &Server, colour: &str| {
        Registration::new("parameters", server.address)
            .agent(agent.address().to_string())
            .tag(colour)
            .tag("all")
            .meta("colour", colour)
    };
    let of_blue = register(&blue, "blue").register().await?;
    let of_green = register(&green, "green").register().await?;
    for (parameters, expected) in [
        ("", &[&blue, &green][..]),
        ("?tag=blue", &[&blue]),
        ("?tag=all&tag=green", &[&green]),
        ("?dc=dc1&near=_agent&stale", &[&blue, &green]),
        ("?consistent&wait=30s", &[&blue, &green]),
        ("?passing=false", &[&blue, &green]),
        (
            "?filter=Service.Meta.colour%20%3D%3D%20%22green%22",
            &[&green],
        ),
    ] {
        let target = format!("consul://{}/parameters{parameters}", agent.address());
        let channel = Channel::builder(target).build()?;
        let took = until_ready(&channel, expected).await;
        println!("parameters {parameters:?}: {took:?}");
        promises.check(
            took.is_ok(),
            format!("{parameters:?}: {:?}", ready(&channel)),
        );
    }
    let target = format!("consul://{}/parameters", agent.address());
    let channel = Channel::builder(target).build()?;
    until_ready(&channel, &[&blue, &green]).await?;
    of_green.deregister().await?;
    let took = until_ready(&channel, &[&blue]).await?;
    println!("a deregistration is heard of after {took:?}");
    promises.measure(
        took.as_millis() <= 300,
        format!("heard of a deregistration after {took:?}"),
    );
    of_blue.deregister().await?;
    Ok(())
}
