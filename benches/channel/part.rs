//! The parts of the bench: who calls, how often, and on how many threads.

use std::fmt::Write as _;

use benches::{Failure, rounds};
use clap::ValueEnum;
use tonic::transport::Endpoint;

use crate::client::Client;
use crate::found::{Found, Turned};
use crate::ours;
use crate::subjects::{self, Subject};
use crate::table;
use crate::turn::Load;

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Client and server have a thread each; our channel, our layers over it, and what others
    /// offer.
    Calls,
    /// The client has two worker threads.
    Workers,
    /// The server has two threads.
    Servers,
    /// Both have two.
    Both,
    /// Streams of 1 KiB and of 1 MiB messages.
    Streams,
    /// Instructions of a call.
    Counts,
}

/// A connection may be a slow one all its life, so there are several, one after the other.
const CONNECTIONS: usize = 4;
/// On each connection.
const ROUNDS: usize = 6;

impl Part {
    pub(crate) const ALL: [Self; 6] = [
        Self::Calls,
        Self::Workers,
        Self::Servers,
        Self::Both,
        Self::Streams,
        Self::Counts,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Workers => ", client of two worker threads",
            Self::Servers => ", server of two threads",
            Self::Both => ", client and server of two threads",
            _ => "",
        }
    }

    /// Worker threads of the client; 0 is a runtime on the calling thread.
    pub(crate) fn workers(self) -> usize {
        match self {
            Self::Workers | Self::Both => 2,
            _ => 0,
        }
    }

    pub(crate) fn server_threads(self) -> usize {
        match self {
            Self::Servers | Self::Both => 2,
            _ => 1,
        }
    }

    /// Whether the layers and the peers call too, and not the channels alone.
    pub(crate) fn has_peers(self) -> bool {
        self == Self::Calls
    }

    fn loads(self) -> &'static [u32] {
        match self {
            Self::Servers => &[1, 8, 32, 64, 512],
            Self::Both => &[64],
            _ => &[1, 64, 512],
        }
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Workers => "workers",
            Self::Servers => "servers",
            Self::Both => "both",
            Self::Streams => "streams",
            Self::Counts => "counts",
        }
    }

    /// A table for each load.
    pub(crate) fn tables(
        self,
        server: &str,
        envoy: Option<&str>,
        is_quick: bool,
    ) -> Result<String, Failure> {
        let names = self.names(server, envoy)?;
        let mut text = String::new();
        for &at_once in self.loads() {
            let calls = match (is_quick, at_once) {
                (true, _) => 2 * at_once,
                (false, 1) => 500,
                (false, _) => 4_096,
            };
            let load = Load { at_once, calls };
            let (connections, rounds) = if is_quick {
                (1, 1)
            } else {
                (CONNECTIONS, ROUNDS)
            };
            let start = |name: &&'static str| Client::start(self, name, server, envoy, load);
            let connect = || names.iter().map(start).collect();
            let turned = turns(connect, connections, rounds)?;
            let found = Found::all(&turned);
            let title = format!("{}{}", load.title(), self.title());
            writeln!(text, "{}", table::of(&title, self, load, &found))?;
        }
        Ok(text)
    }

    fn names(self, server: &str, envoy: Option<&str>) -> Result<Vec<&'static str>, Failure> {
        // Nothing runs in it, so none of them connects.
        let runtime = crate::runtime(0)?;
        let _entered = runtime.enter();
        let all = self.subjects(server, envoy)?;
        Ok(all.iter().map(|it| it.name).collect())
    }

    /// The one of this name; within a runtime.
    pub(crate) fn subject(
        self,
        name: &str,
        server: &str,
        envoy: Option<&str>,
    ) -> Result<Subject, Failure> {
        let mut all = self.subjects(server, envoy)?.into_iter();
        let found = all.find(|it| it.name == name);
        found.ok_or_else(|| format!("there is no subject {name:?}").into())
    }

    /// Each over a connection of its own. The first one is tonic's channel.
    fn subjects(self, server: &str, envoy: Option<&str>) -> Result<Vec<Subject>, Failure> {
        let endpoint = |address: &str| Endpoint::from_shared(address.to_owned());
        let (tonic, envoy) = (endpoint(server)?, envoy.map(endpoint).transpose()?);
        let mut all = subjects::bare(&tonic);
        all.extend(ours::channels(server)?);
        if self.workers() > 0 {
            all.push(crate::floor::subject(server));
        }
        if self.has_peers() {
            all.extend(ours::layers(server)?);
            all.extend(subjects::stacks(&tonic, envoy.as_ref())?);
        }
        Ok(all)
    }
}

type Turns = Vec<(&'static str, Vec<Turned>)>;

/// All turns of each subject.
fn turns(
    connect: impl Fn() -> Result<Vec<Client>, Failure>,
    connections: usize,
    rounds: usize,
) -> Result<Turns, Failure> {
    let mut all = Turns::new();
    for _ in 0..connections {
        let mut clients = connect()?;
        let turns = rounds::of(rounds, &mut clients, Client::turn)?;
        all.resize_with(clients.len(), Default::default);
        for ((client, turns), (name, all)) in clients.iter().zip(turns).zip(&mut all) {
            *name = client.name;
            all.extend(turns);
        }
    }
    Ok(all)
}
