//! An instance is killed. It is not deregistered, so only its check can tell the clients.

use std::net::SocketAddr;
use std::time::Duration;

use grpc_resilience::channel::Channel;
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use tokio::time::{Instant, sleep, timeout};

use crate::agent::Registry;
use crate::args::Args;
use crate::calls::load;
use crate::client::Client;
use crate::process::Instance;

const NAME: &str = "crash";
const TTL: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(2);
const CALM: Duration = Duration::from_secs(1);
const LENGTH: Duration = Duration::from_secs(5);

/// Runs it; its calls are declared idempotent, for those in flight may have run.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let registry = Registry::start(args).await?;
    let mut instances = Instance::start_three(&registry, TTL).await?;
    let client = Client::declared(&registry, 3).await?;
    let opening = Instant::now();
    let victim = instances.pop().ok_or("there is no instance")?;
    let address = victim.address;
    let work = async {
        tokio::join!(load(&client, opening, LENGTH), async {
            sleep(CALM).await;
            victim.kill().await?;
            Ok::<_, Failure>(until_gone(&client.channel, address).await)
        })
    };
    let (seen, gone) = watch("crash: one of three is killed", LENGTH, work).await?;
    let gone = gone?;
    let [calls, _] = seen.none_failed(NAME, "an instance is killed");
    Ok(vec![
        calls,
        Promise::new(
            NAME,
            "it is an address no longer than its check's time and 1 s",
            gone.map_or("longer".into(), |gone| format!("{gone:?}")),
            gone.is_some_and(|gone| gone <= LIMIT),
        )
        .of_times(),
    ])
}

/// How long it takes until this is no address of the channel any more.
async fn until_gone(channel: &Channel, address: SocketAddr) -> Option<Duration> {
    let start = Instant::now();
    let name = address.to_string();
    let gone = async {
        loop {
            let endpoints = channel.snapshot().endpoints;
            let mut present = endpoints.iter().filter(|it| !it.is_removed);
            if present.all(|it| *it.name != *name) {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(2 * LIMIT, gone)
        .await
        .ok()
        .map(|()| start.elapsed())
}
