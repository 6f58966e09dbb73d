//! An experiment: watchers over both channels, a writer, and what is done to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use grpc_resilience::channel::Channel;
use grpc_resilience::{Resilience, Resilient};
use grpc_resilience_examples::show::bar::watch as under_a_bar;
use grpc_resilience_examples::{Failure, Transport};
use parking_lot::Mutex;
use testing::Server;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{interval, sleep};
use tonic::transport::Endpoint;

use crate::args::Experiment;
use crate::proto::store_server::StoreServer;
use crate::relay::Relay;
use crate::store::Revisions;
use crate::watcher::{Seen, Watcher};

/// The watchers over each channel.
pub(crate) const WATCHERS: usize = 8;

/// A revision every so often.
const WRITE: Duration = Duration::from_millis(5);

/// How long the server is down, and how long nothing passes.
const DOWN: Duration = Duration::from_millis(300);
const FROZEN: Duration = Duration::from_secs(2);

/// How long all is well between.
const BETWEEN: Duration = Duration::from_millis(700);

/// After this number of responses the server ends a stream with OK.
const RESPONSES: usize = 50;

/// The revisions that are left after compaction: fewer than are written while the server is down.
const LEFT: usize = 10;

/// What the watchers over a channel have seen.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) watchers: Vec<Seen>,
    pub(crate) times: u32,
}

/// This crate's channel, and tonic's.
#[derive(Debug)]
pub(crate) struct Both {
    pub(crate) ours: Figures,
    pub(crate) tonics: Figures,
}

pub(crate) async fn run(experiment: Experiment, is_quick: bool) -> Result<Both, Failure> {
    let times = experiment.times(is_quick);
    let each = match experiment {
        Experiment::Kills | Experiment::Compactions => DOWN + BETWEEN,
        Experiment::Freezes => FROZEN + 2 * BETWEEN,
        Experiment::Ends => Duration::from_secs(1),
    };
    let work = run_under_bar(experiment, times);
    under_a_bar(experiment.name(), each * times, work).await?
}

async fn run_under_bar(experiment: Experiment, times: u32) -> Result<Both, Failure> {
    let revisions = Revisions::new();
    let server = Server::builder();
    let server = server
        .service(StoreServer::new(revisions.clone()))
        .tcp()
        .await;
    let relay = Relay::to(server.addr().ok_or("a server without an address")?).await?;
    let (ours, tonics) = channels(&relay)?;
    let last = Arc::new(AtomicU64::new(0));
    let writer = write(revisions.clone());
    let mut tasks = JoinSet::new();
    let ours = watchers(&ours, &last, &mut tasks).await?;
    let tonics = watchers(&tonics, &last, &mut tasks).await?;

    trouble(experiment, times, &revisions, &server, &relay).await;

    sleep(BETWEEN).await;
    writer.abort();
    // The writer wakes no more, and what it wrote is whole.
    sleep(WRITE).await;
    last.store(revisions.state().events, SeqCst);
    // Wakes the watchers that have all but this.
    revisions.write();
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let figures = |seen: Vec<Arc<Mutex<Seen>>>| Figures {
        watchers: seen.iter().map(|it| *it.lock()).collect(),
        times,
    };
    Ok(Both {
        ours: figures(ours),
        tonics: figures(tonics),
    })
}

/// What is done to the server.
async fn trouble(
    experiment: Experiment,
    times: u32,
    revisions: &Revisions,
    server: &Server,
    relay: &Relay,
) {
    if experiment == Experiment::Ends {
        revisions.end_streams_after(Some(RESPONSES));
        // The streams that are open do not know of it.
        server.stop();
        server.start().await;
        return sleep(Duration::from_secs(times.into())).await;
    }
    for _ in 0..times {
        sleep(BETWEEN).await;
        if experiment == Experiment::Freezes {
            relay.freeze(true);
            sleep(FROZEN).await;
            relay.freeze(false);
            sleep(BETWEEN).await;
            continue;
        }
        server.stop();
        sleep(DOWN).await;
        if experiment == Experiment::Compactions {
            revisions.compact(LEFT);
        }
        server.start().await;
    }
}

type Ours = Resilient<Channel>;
type Tonics = Resilient<tonic::transport::Channel>;

/// With the lines of the README, but without a budget: a server that dies each second under eight
/// streams uses the default one up within twenty seconds, and then a stream waits half a minute.
fn channels(relay: &Relay) -> Result<(Ours, Tonics), Failure> {
    let resilience = || {
        Resilience::new()
            .default_timeout(Duration::from_secs(5))
            .unlimited_budget()
            .idempotent("/watch.v1.Store/*")
    };
    let address = format!("http://{}", relay.address());
    let ours = Channel::builder(&address).build()?;
    let tonics = Endpoint::from_shared(address)?.connect_lazy();
    Ok((resilience()?.wrap(ours), resilience()?.wrap(tonics)))
}

fn write(revisions: Revisions) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = interval(WRITE);
        loop {
            ticks.tick().await;
            revisions.write();
        }
    })
}

async fn watchers<C: Transport + Sync>(
    channel: &C,
    last: &Arc<AtomicU64>,
    tasks: &mut JoinSet<Result<(), Failure>>,
) -> Result<Vec<Arc<Mutex<Seen>>>, Failure> {
    let mut all = Vec::new();
    for _ in 0..WATCHERS {
        let seen = Arc::<Mutex<Seen>>::default();
        let mut watcher = Watcher::start(channel.clone(), &seen).await?;
        let last = Arc::clone(last);
        tasks.spawn(async move {
            let last = || Some(last.load(SeqCst)).filter(|last| *last > 0);
            watcher.read(last).await
        });
        all.push(seen);
    }
    Ok(all)
}
