//! The parts of the bench: who calls, how often, and on how many threads.

use std::fmt::Write as _;

use benches::{Failure, rounds};
use clap::ValueEnum;
use tokio::runtime::Runtime;
use tonic::transport::Endpoint;

use crate::cpu;
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

    /// A table for each load.
    pub(crate) fn tables(
        self,
        runtime: &Runtime,
        server: &str,
        envoy: Option<&str>,
        is_quick: bool,
    ) -> Result<String, Failure> {
        let connect = || {
            let _entered = runtime.enter();
            self.subjects(server, envoy)
        };
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
            let turned = turns(runtime, connect, load, connections, rounds)?;
            let found = Found::all(&turned);
            let title = format!("{}{}", load.title(), self.title());
            writeln!(text, "{}", table::of(&title, self, load, &found))?;
        }
        Ok(text)
    }

    /// Each over a connection of its own. The first one is tonic's channel.
    fn subjects(self, server: &str, envoy: Option<&str>) -> Result<Vec<Subject>, Failure> {
        let endpoint = |address: &str| Endpoint::from_shared(address.to_owned());
        let (tonic, envoy) = (endpoint(server)?, envoy.map(endpoint).transpose()?);
        let mut all = subjects::bare(&tonic);
        all.extend(ours::channels(server)?);
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
    runtime: &Runtime,
    connect: impl Fn() -> Result<Vec<Subject>, Failure>,
    load: Load,
    connections: usize,
    rounds: usize,
) -> Result<Turns, Failure> {
    let mut all = Turns::new();
    for _ in 0..connections {
        let mut subjects = connect()?;
        let named = |subject: &Subject, error: Failure| format!("{}: {error}", subject.name);
        for subject in &subjects {
            let warm = runtime.block_on(subject.caller.run(load));
            warm.map_err(|error| named(subject, error))?;
        }
        let turns = rounds::of(rounds, &mut subjects, |subject| {
            let before = cpu::time()?;
            let turn = runtime.block_on(subject.caller.turn(load));
            let turn = turn.map_err(|error| named(subject, error))?;
            let cpu = (cpu::time()? - before) / f64::from(load.calls);
            Ok(Turned { turn, cpu })
        })?;
        all.resize_with(subjects.len(), Default::default);
        for ((subject, turns), (name, all)) in subjects.iter().zip(turns).zip(&mut all) {
            *name = subject.name;
            all.extend(turns);
        }
    }
    Ok(all)
}
