//! An agent with access lists: without a token nothing is found, and the token is shown nowhere.

use std::path::Path;

use foreign::Failure;
use foreign::promises::Promises;
use grpc_resilience::channel::Channel;
use grpc_resilience::consul::Registration;
use test_protos::{EchoClient, EchoRequest};

use crate::agent::Agent;
use crate::server::{Server, until_ready};

const TOKEN: &str = "8a4b2c1d-0000-4000-8000-00000badcafe";
const WRONG: &str = "8a4b2c1d-1111-4000-8000-00000badcafe";
const HCL: &str = r#"
    acl {
      enabled = true
      default_policy = "deny"
      tokens {
        initial_management = "8a4b2c1d-0000-4000-8000-00000badcafe"
        agent = "8a4b2c1d-0000-4000-8000-00000badcafe"
      }
    }
"#;

pub(crate) async fn run(consul: &Path, promises: &mut Promises) -> Result<(), Failure> {
    let agent = Agent::start(consul, HCL).await?;
    let server = Server::start().await?;
    let registration =
        Registration::new("access", server.address).agent(agent.address().to_string());
    let refused = registration.clone().token(WRONG).register().await;
    let text = format!("{refused:?}");
    println!("with a wrong token: {text}");
    promises.check(refused.is_err() && !text.contains(WRONG), text);
    let registered = registration.token(TOKEN).register().await?;
    let target = format!("consul://{}/access", agent.address());
    let channel = Channel::builder(&*target).consul_token(WRONG).build()?;
    let mut client = EchoClient::new(channel.clone());
    let answer = client.unary(EchoRequest::default()).await;
    let text = format!("{answer:?} {}", channel.snapshot());
    println!("with a wrong token: {text}");
    let says_why = text.contains("the agent answers 403");
    promises.check(says_why && !text.contains(WRONG), text);
    let channel = Channel::builder(target).consul_token(TOKEN).build()?;
    until_ready(&channel, &[&server]).await?;
    let text = format!("{channel:?} {} {registered:?}", channel.snapshot());
    promises.check(!text.contains(TOKEN), text);
    registered.deregister().await?;
    Ok(())
}
