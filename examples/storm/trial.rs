//! One client under load, against a server of its own.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::Failure;
use crate::arrivals::Arrivals;
use crate::clients::{Caller, Client, bare, ours, tower_resilience, tower_retry};
use crate::faults::Faults;
use crate::load::Load;
use crate::progress::{Phase, Progress};
use crate::record::Record;
use crate::server::{Server, Setup};

/// Time to connect before the load begins.
pub(crate) const LEAD: Duration = Duration::from_millis(200);

/// What a client is put through.
pub(crate) struct Trial {
    pub(crate) experiment: &'static str,
    pub(crate) faults: Faults,
    pub(crate) load: Load,
    pub(crate) phases: Vec<Phase>,
}

/// What came of it, from both ends.
pub(crate) struct Run {
    pub(crate) client: Client,
    pub(crate) record: Record,
    pub(crate) arrivals: Arrivals,
}

impl Trial {
    pub(crate) async fn run(&self, client: Client) -> Result<Run, Failure> {
        let opening = Instant::now() + LEAD;
        let server = Server::start(Setup::faulty(self.faults), opening)?;
        let address = server.address();
        let record = match client {
            Client::Resilience => {
                self.load(client, ours::connect(address).await?, opening)
                    .await
            }
            Client::TowerRetry => {
                self.load(client, tower_retry::connect(address).await?, opening)
                    .await
            }
            Client::TowerResilience => {
                self.load(client, tower_resilience::connect(address).await?, opening)
                    .await
            }
            Client::Bare => {
                self.load(client, bare::connect(address).await?, opening)
                    .await
            }
        }?;
        Ok(Run {
            client,
            record,
            arrivals: server.stop()?,
        })
    }

    async fn load(
        &self,
        client: Client,
        caller: impl Caller,
        opening: Instant,
    ) -> Result<Record, Failure> {
        let name = format!("{}: {}", self.experiment, client.name());
        let progress = Progress::start(name, self.phases.clone(), self.load.calls())?;
        sleep_until(opening).await;
        let record = self.load.offer(&caller, opening, &progress).await;
        progress.finish();
        Ok(record)
    }
}
