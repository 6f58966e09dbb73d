//! The proxies with their settings, the server without one, and how each is run.

use std::path::{Path, PathBuf};

use foreign::Failure;
use foreign::load::Load;
use foreign::oracle::Oracle;
use foreign::tally::Tally;

use crate::client::{Client, Kind};
use crate::envoy::{self, Ageing};
use crate::nginx;
use crate::proxy::Proxy;
use crate::server::{Ages, Server};
use crate::storm;

const CALLERS: u32 = 32;

/// A proxy and when it ends connections.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The same for all settings of one proxy.
    pub(crate) proxy: &'static str,
    setting: Setting,
}

enum Setting {
    /// No proxy: tonic's server, and how old its connections get.
    Direct(Option<Ages>),
    /// nginx and its `keepalive_requests`.
    Nginx(PathBuf, Option<u32>),
    Envoy(PathBuf, Ageing),
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
            setting: Setting::Nginx(nginx.to_owned(), count),
        };
        let ageing = |name: &str, ageing| Self {
            name: format!("envoy, {name}"),
            proxy: "envoy",
            setting: Setting::Envoy(envoy.to_owned(), ageing),
        };
        let direct = |name: &str, ages| Self {
            name: format!("tonic, {name}"),
            proxy: "none",
            setting: Setting::Direct(ages),
        };
        vec![
            direct("no ageing", None),
            direct("15 ms to 1 s", Some(15..1_000)),
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
            Setting::Direct(None) | Setting::Nginx(_, None) | Setting::Envoy(_, Ageing::Never)
        )
    }

    /// Whether there is no proxy, so that no clients are compared.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.setting, Setting::Direct(_))
    }

    /// Makes this number of calls over this crate's channel.
    pub(crate) async fn storm(&self, calls: u64) -> Result<(Tally, Oracle), Failure> {
        let (server, proxy) = self.start().await?;
        let port = proxy.as_ref().map_or(server.port, |it| it.port);
        let tally = storm::make(calls, port).await?;
        Ok((tally, server.begun()))
    }

    /// Lets the clients take turns, each with a channel that it keeps.
    pub(crate) async fn run(&self, turns: usize, calls: u64) -> Result<Ran, Failure> {
        let (server, proxy) = self.start().await?;
        let port = proxy.as_ref().map_or(server.port, |it| it.port);
        let mut clients = Vec::new();
        for kind in Kind::ALL {
            clients.push((Client::new(kind, port)?, Vec::new()));
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

    async fn start(&self) -> Result<(Server, Option<Proxy>), Failure> {
        let ages = match &self.setting {
            Setting::Direct(ages) => ages.clone(),
            Setting::Nginx(..) | Setting::Envoy(..) => None,
        };
        let server = Server::start(ages).await?;
        let proxy = match &self.setting {
            Setting::Direct(_) => None,
            Setting::Nginx(program, requests) => {
                Some(nginx::start(program, server.port, *requests).await?)
            }
            Setting::Envoy(program, ageing) => {
                Some(envoy::start(program, server.port, ageing).await?)
            }
        };
        Ok((server, proxy))
    }
}
