//! The service changes 50 times a second, and the agent is asked once a second.

use std::time::Duration;

use grpc_resilience::consul::Registration;
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::agent::Registry;
use crate::args::Args;
use crate::calls::load;
use crate::client::Client;
use crate::process::Instance;

const NAME: &str = "updates";
const LENGTH: Duration = Duration::from_secs(6);
const TTL: Duration = Duration::from_secs(5);
/// Each is a registration and a deregistration.
const PAIR: Duration = Duration::from_millis(40);
const BURST: f64 = 2.0;
const LEAST_PER_SECOND: f64 = 25.0;

/// Runs it.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let registry = Registry::start(args).await?;
    let _instances = Instance::start_three(&registry, TTL).await?;
    let client = Client::new(&registry, 3).await?;
    let opening = Instant::now();
    let before = registry.agent.queries().len();
    let work = async { tokio::join!(load(&client, opening, LENGTH), change(&registry, opening)) };
    let (seen, updates) = watch("updates: 50 a second", LENGTH, work).await?;
    let updates = updates?;
    let queries = registry.agent.queries();
    let queries = queries.get(before..).unwrap_or_default();
    let seconds = opening.elapsed().as_secs_f64();
    let count = f64::from(u32::try_from(queries.len())?);
    let rate = f64::from(updates) / seconds;
    let mut promises = vec![
        Promise::new(
            NAME,
            "(the load: about 50 updates a second)",
            format!("{rate:.0} a second"),
            rate >= LEAST_PER_SECOND,
        )
        .of_times(),
        Promise::new(
            NAME,
            "at most one query a second after the first two",
            format!("{count} queries in {seconds:.1} s"),
            count <= BURST + seconds && count >= 1.0,
        ),
    ];
    promises.extend(seen.none_failed(NAME, "the service changes all the time"));
    Ok(promises)
}

/// An instance that clients do not look for comes and goes; how often it did either.
async fn change(registry: &Registry, opening: Instant) -> Result<u32, Failure> {
    let mut ticks = interval(PAIR);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut updates = 0;
    while opening.elapsed() < LENGTH {
        ticks.tick().await;
        let registered = Registration::new(&registry.service, "127.0.0.1:9".parse()?)
            .agent(registry.agent.address().to_string())
            .tag(format!("update-{updates}"))
            .register()
            .await?;
        registered.deregister().await?;
        updates += 2;
    }
    Ok(updates)
}
