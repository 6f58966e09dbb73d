//! The proxies with their settings, and how each is run.

use std::path::{Path, PathBuf};

use foreign::Failure;
use foreign::load::Load;
use foreign::oracle::Oracle;
use foreign::tally::Tally;

use crate::client::{Client, Kind};
use crate::envoy::{self, Ageing};
use crate::nginx;
use crate::proxy::Proxy;
use crate::server::Server;

const CALLERS: u32 = 32;

/// A proxy and when it ends connections.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The same for all settings of one proxy.
    pub(crate) proxy: &'static str,
    program: PathBuf,
    setting: Setting,
}

enum Setting {
    /// nginx's `keepalive_requests`.
    Requests(Option<u32>),
    Envoy(Ageing),
}

/// What became of the calls of a case.
pub(crate) struct Ran {
    /// All calls of each client.
    pub(crate) tallies: Vec<(Kind, Tally)>,
    /// Successful calls a second, turn by turn, of each client.
    pub(crate) rates: Vec<(Kind, Vec<f64>)>,
    pub(crate) begun: Oracle,
}

impl Case {
    /// The cases without ageing come first, because the others are compared with them.
    pub(crate) fn all(nginx: &Path, envoy: &Path) -> Vec<Self> {
        let requests = |count: Option<u32>| Self {
            name: count.map_or("nginx, no ageing".to_owned(), |it| {
                format!("nginx, {it} requests")
            }),
            proxy: "nginx",
            program: nginx.to_owned(),
            setting: Setting::Requests(count),
        };
        let ageing = |name: &str, ageing| Self {
            name: format!("envoy, {name}"),
            proxy: "envoy",
            program: envoy.to_owned(),
            setting: Setting::Envoy(ageing),
        };
        vec![
            requests(None),
            requests(Some(10)),
            requests(Some(100)),
            requests(Some(1_000)),
            ageing("no ageing", Ageing::Never),
            ageing("7 requests", Ageing::Requests(7)),
            ageing("0.2 s", Ageing::Duration("0.2s")),
        ]
    }

    /// Whether the proxy ends no connection.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(
            self.setting,
            Setting::Requests(None) | Setting::Envoy(Ageing::Never)
        )
    }

    /// Lets the clients take turns, each with a channel that it keeps.
    pub(crate) async fn run(&self, turns: usize, calls: u64) -> Result<Ran, Failure> {
        let server = Server::start().await?;
        let proxy = self.start(server.port).await?;
        let mut clients = Vec::new();
        for kind in Kind::ALL {
            clients.push((Client::new(kind, proxy.port)?, Vec::new()));
        }
        for turn in 0..turns {
            // The client that comes first pays for a cold start: another one in each round.
            let count = clients.len();
            for at in 0..count {
                let Some((client, tallies)) = clients.get_mut((turn + at) % count) else {
                    continue;
                };
                tallies.push(client.run(&Load::new(CALLERS).calls(calls)).await?);
            }
        }
        let mut ran = Ran {
            tallies: Vec::new(),
            rates: Vec::new(),
            begun: server.begun(),
        };
        for (client, tallies) in clients {
            let rates = tallies.iter().map(Tally::successes_per_second).collect();
            ran.rates.push((client.kind(), rates));
            ran.tallies.push((client.kind(), Tally::merged(tallies)));
        }
        Ok(ran)
    }

    async fn start(&self, server: u16) -> Result<Proxy, Failure> {
        match &self.setting {
            Setting::Requests(requests) => nginx::start(&self.program, server, *requests).await,
            Setting::Envoy(ageing) => envoy::start(&self.program, server, ageing).await,
        }
    }
}
