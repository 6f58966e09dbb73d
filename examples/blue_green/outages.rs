//! The agent dies, forgets, fails and says nonsense, and no call fails.

use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use testing::ConsulFault;
use tokio::time::{Instant, sleep};

use crate::agent::Registry;
use crate::args::Args;
use crate::calls::load;
use crate::client::Client;
use crate::process::Instance;

const NAME: &str = "outages";
const TTL: Duration = Duration::from_secs(3);
/// After each of them.
const CALM: Duration = Duration::from_secs(1);

/// What becomes of the agent, and for how long.
#[derive(Clone, Copy)]
enum Outage {
    /// It refuses connections.
    Killed(Duration),
    Fault(ConsulFault, Duration),
    Rewound,
    /// It has forgotten all it knew.
    Restarted,
}

const SECOND: Duration = Duration::from_secs(1);

const OUTAGES: [(&str, Outage); 7] = [
    (
        "the agent is killed",
        Outage::Killed(Duration::from_secs(10)),
    ),
    (
        "it says that there is no instance",
        Outage::Fault(ConsulFault::Empty, Duration::from_secs(5)),
    ),
    ("its index is rewound", Outage::Rewound),
    (
        "it answers 500",
        Outage::Fault(ConsulFault::Status(500), SECOND),
    ),
    (
        "it answers half of the JSON",
        Outage::Fault(ConsulFault::Truncated, SECOND),
    ),
    (
        "it cuts queries that wait",
        Outage::Fault(ConsulFault::Cut, SECOND),
    ),
    ("it is gone and started again", Outage::Restarted),
];

impl Outage {
    fn length(self, is_quick: bool) -> Duration {
        let length = match self {
            Self::Killed(length) | Self::Fault(_, length) => length,
            Self::Rewound => Duration::ZERO,
            Self::Restarted => SECOND / 2,
        };
        if is_quick {
            length.min(2 * SECOND)
        } else {
            length
        }
    }

    async fn happen(self, registry: &Registry, is_quick: bool) -> Result<(), Failure> {
        let agent = &registry.agent;
        let length = self.length(is_quick);
        match self {
            Self::Killed(_) | Self::Restarted => {
                agent.stop().await;
                if matches!(self, Self::Restarted) {
                    // A real one before which this stands keeps what it knows.
                    agent.forget();
                    agent.rewind();
                }
                sleep(length).await;
                agent.restart().await?;
            }
            Self::Fault(fault, _) => {
                agent.set_fault(Some(fault));
                sleep(length).await;
                agent.set_fault(None);
            }
            Self::Rewound => agent.rewind(),
        }
        Ok(())
    }
}

/// Runs them, one after another.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let registry = Registry::start(args).await?;
    let _instances = Instance::start_three(&registry, TTL).await?;
    let client = Client::new(&registry, 3).await?;
    let mut runs = Vec::new();
    for (name, outage) in OUTAGES {
        let name = match outage.length(args.quick) {
            Duration::ZERO => name.to_owned(),
            length => format!("{name} for {length:?}"),
        };
        let length = outage.length(args.quick) + CALM;
        let work = async {
            let opening = Instant::now();
            tokio::join!(
                load(&client, opening, length),
                outage.happen(&registry, args.quick)
            )
        };
        let (seen, happened) = watch(&format!("outages: {name}"), length, work).await?;
        happened?;
        runs.push((name, seen));
    }
    let promises = runs.iter();
    let promises = promises.flat_map(|(name, seen)| seen.none_failed(NAME, name));
    Ok(promises.collect())
}
