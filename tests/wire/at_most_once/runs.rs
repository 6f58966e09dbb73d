//! Runs seed after seed, as the environment wishes.

use std::env::var;
use std::time::Duration;

use grpc_resilience::channel as ours;
use peer::Peer;

use transports::{Channel, Transport};

use super::super::support::{channel, every, in_memory};
use super::client::Client;
use super::counts::Counts;
use super::oracle::Judge;
use super::recorder::{Record, Recorder};
use super::setup::{Pace, Setup};
use super::stack::Stack;

const CALLS: u32 = 300;

/// Which seeds a test runs.
pub(super) struct Runs {
    seeds: Box<dyn Iterator<Item = u64>>,
    calls: u32,
}

impl Runs {
    /// So many seeds, unless the environment says how long, or names one.
    pub(super) fn of(seeds: u64) -> Self {
        let number = |name| var(name).ok().map(|it| it.parse::<u64>().unwrap());
        let calls = number("GRPC_RESILIENCE_ORACLE_CALLS");
        let seed = number("GRPC_RESILIENCE_ORACLE_SEED");
        let seconds = number("GRPC_RESILIENCE_ORACLE_SECONDS");
        let seeds: Box<dyn Iterator<Item = u64>> = match (seed, seconds) {
            (Some(seed), _) => Box::new(std::iter::once(seed)),
            (None, Some(seconds)) => Box::new(for_so_long(Duration::from_secs(seconds), seeds)),
            (None, None) => Box::new(1..=seeds),
        };
        Self {
            seeds,
            calls: calls.map_or(CALLS, |calls| calls.try_into().unwrap()),
        }
    }

    /// Each seed with each stack.
    pub(super) async fn each(
        self,
        stacks: impl IntoIterator<Item = Stack>,
        setup: impl Fn(u64, Stack) -> Setup,
    ) -> Counts {
        let stacks: Vec<_> = stacks.into_iter().collect();
        let mut counts = Counts::default();
        for seed in self.seeds {
            for stack in &stacks {
                counts += run(&setup(seed, *stack), self.calls).await;
            }
        }
        println!("{counts:?}");
        counts
    }
}

/// Seeds from 1 on, while there is time by the clock on the wall: tokio's stands still. Those of a
/// short run are always among them, for the chances of fewer would prove nothing.
#[expect(clippy::disallowed_types, reason = "the clock of the test is paused")]
fn for_so_long(time: Duration, least: u64) -> impl Iterator<Item = u64> {
    let start = std::time::Instant::now();
    (1..).take_while(move |seed| *seed <= least || start.elapsed() < time)
}

/// The longest that this crate's channel dials and waits between dials: stacks that do not wait for
/// the channel ask it each millisecond meanwhile.
const DIAL: Duration = Duration::from_millis(200);

/// The channel below the stack. This crate's runs in memory where the clock is paused, and over
/// sockets where threads race.
fn connecting(peer: &Peer, pace: Pace) -> Channel {
    if Transport::current() == Transport::Tonic {
        return channel(peer);
    }
    let builder = if pace.is_exact {
        in_memory(peer)
    } else {
        ours::Channel::builder(peer.uri()).max_connections(1)
    };
    let channel = builder
        .connect_timeout(DIAL.min(4 * pace.stall))
        .backoff(every(DIAL.min(pace.longest_wait)));
    channel.build().unwrap().into()
}

async fn run(setup: &Setup, calls: u32) -> Counts {
    println!("GRPC_RESILIENCE_ORACLE_SEED={} {setup:?}", setup.seed);
    // More than the calls use up; what came after them would be fair.
    let count = 3 * calls as usize;
    let pace = setup.pace;
    let connections = setup.weather.connections(setup.seed, pace.stall, count);
    let peer = Peer::start(connections).await;
    let record = Record::default();
    let recorder = Recorder::new(connecting(&peer, pace), record.clone());
    let client = Client::new(setup.stack.over(recorder, setup), setup, record);
    let ended = client.all(calls).await;
    assert!(peer.connections() < count, "fair at last");
    let counts = Judge::new(setup, &peer, &ended).all_is_well();
    println!("{counts:?}");
    counts
}
