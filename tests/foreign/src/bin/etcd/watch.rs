//! Watches that come back while members are killed and frozen, and lack what is compacted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foreign::Failure;
use foreign::over::Over;
use foreign::promises::Promises;
use grpc_resilience::streams::{self, OnEnd, OnLost, Resumable};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tonic::Request;

use crate::calls::{ATTEMPT, bare, described};
use crate::cluster::Cluster;
use crate::proto::watch_client::WatchClient;
use crate::proto::watch_request::RequestUnion;
use crate::proto::{
    CompactionRequest, RangeRequest, WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::writer::{END, KEYS, Writer, number};

const UP: Duration = Duration::from_secs(1);
/// Longer than a watch may be silent.
const FROZEN: Duration = Duration::from_secs(4);
/// Longer than an election.
const DOWN: Duration = Duration::from_secs(3);
const KILLS: usize = 2;
/// The writer never pauses for so long while there is a leader.
const SILENT: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

pub(crate) async fn run(cluster: &mut Cluster, promises: &mut Promises) -> Result<(), Failure> {
    let members = cluster.uris();
    let writer = Writer::start(&members)?;
    let first = writer.revision_after(0).await;
    let mut readers = Vec::new();
    for over in Over::BOTH {
        readers.push(Reader::start(over, &members, first)?);
    }
    // One of them has the watch.
    for number in 0..members.len() {
        sleep(UP).await;
        cluster.freeze(number)?;
        sleep(FROZEN).await;
        cluster.thaw(number)?;
        cluster.settled().await?;
    }
    for _ in 0..KILLS {
        sleep(UP).await;
        let leader = cluster.settled().await?;
        cluster.kill(leader).await?;
        sleep(DOWN).await;
        cluster.restart(leader)?;
        cluster.settled().await?;
    }
    let compacted = compact(cluster, &writer).await?;
    let created = writer.stop().await?;
    for reader in readers.into_iter().chain(compacted) {
        reader.check(&created, promises).await;
    }
    Ok(())
}

/// Watches through one member only, which is down while what they would resume at is compacted.
async fn compact(cluster: &mut Cluster, writer: &Writer) -> Result<Vec<Reader>, Failure> {
    let follower = (cluster.settled().await? + 1) % 3;
    let members = cluster.uris();
    let only = members.get(follower).ok_or("no such member")?;
    let revision = writer.revision_after(0).await;
    let mut readers = Vec::new();
    for over in Over::BOTH {
        let mut reader = Reader::start(over, std::slice::from_ref(only), revision)?;
        reader.reads_again = true;
        readers.push(reader);
    }
    sleep(UP).await;
    cluster.kill(follower).await?;
    let before = writer.revision_after(0).await;
    sleep(UP).await;
    let revision = writer.revision_after(before).await;
    let others: Vec<_> = members.iter().filter(|it| *it != only).cloned().collect();
    let mut client = bare(&others)?;
    client.compact(CompactionRequest { revision }).await?;
    cluster.restart(follower)?;
    cluster.settled().await?;
    sleep(UP).await;
    Ok(readers)
}

/// What a watch has brought.
#[derive(Default)]
struct Seen {
    /// The number and the revision of each key's event, in the order in which they came.
    events: Vec<(u64, i64)>,
    /// The keys that were read after a gap, instead of their events.
    read: BTreeSet<u64>,
    gaps: usize,
    failed: Option<String>,
    report: String,
}

struct Reader {
    over: Over,
    /// Events from this revision on.
    from: i64,
    /// Whether it has a gap.
    reads_again: bool,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

type Watch = Resumable<WatchResponse, i64>;

impl Reader {
    fn start(over: Over, members: &[String], from: i64) -> Result<Self, Failure> {
        let mut watch = watch(over, members, from)?;
        let seen = Arc::<Mutex<Seen>>::default();
        let (told, members) = (Arc::clone(&seen), members.to_vec());
        let task = tokio::spawn(async move {
            if let Err(failure) = read(&mut watch, &members, &told).await {
                with(&told, |it| it.failed = Some(failure.to_string()));
            }
        });
        Ok(Self {
            over,
            from,
            reads_again: false,
            seen,
            task,
        })
    }

    /// Every key has one event, in order, or was read again after the gap.
    async fn check(self, created: &[u64], promises: &mut Promises) {
        let Self {
            over, reads_again, ..
        } = self;
        let start = Instant::now();
        let is_there = || {
            with(&self.seen, |it| {
                let last = it.events.last().map(|it| it.0);
                it.failed.is_some() || last >= created.last().copied()
            })
        };
        while !is_there() && start.elapsed() < PATIENCE {
            sleep(POLL).await;
        }
        self.task.abort();
        let seen = with(&self.seen, std::mem::take);
        let numbers: BTreeSet<_> = seen.events.iter().map(|it| it.0).collect();
        let first = numbers.first().copied().unwrap_or(u64::MAX);
        let is_whole = seen.events.first().is_some_and(|it| it.1 == self.from);
        let expected = created.iter().filter(|it| **it >= first);
        let lost = expected.filter(|it| !numbers.contains(it) && !seen.read.contains(it));
        let lost: Vec<_> = lost.collect();
        let is_rising = seen.events.is_sorted_by(|a, b| a.1 < b.1);
        let doubled = seen.events.len() - numbers.len();
        let name = if reads_again {
            "compacted"
        } else {
            "killed and frozen"
        };
        println!(
            "  watch {over}, {name}: {} events from revision {}, {} gaps; {}",
            seen.events.len(),
            self.from,
            seen.gaps,
            seen.report
        );
        promises.check(
            is_whole && lost.is_empty() && doubled == 0 && is_rising,
            format!(
                "watch {over}, {name}: {} of {} events are lost, {doubled} doubled, in order: \
                 {is_rising}; it failed with {:?}; the first that is lost: {:?}",
                lost.len(),
                created.len(),
                seen.failed,
                lost.first()
            ),
        );
        promises.check(
            seen.gaps == usize::from(reads_again),
            format!("watch {over}, {name}: {} gaps are told", seen.gaps),
        );
    }
}

fn with<T>(seen: &Mutex<Seen>, look: impl FnOnce(&mut Seen) -> T) -> T {
    look(&mut seen.lock().unwrap_or_else(PoisonError::into_inner))
}

fn watch(over: Over, members: &[String], from: i64) -> Result<Watch, Failure> {
    let wrapped = over.wrap(&described(ATTEMPT)?, members, &Arc::default())?;
    let client = WatchClient::new(wrapped);
    let request = WatchCreateRequest {
        key: KEYS.into(),
        range_end: END.into(),
        start_revision: 0,
    };
    let watch = Resumable::builder(Request::new(request), move |request| {
        let mut client = client.clone();
        let request = request.map(|it| {
            tokio_stream::once(WatchRequest {
                request_union: Some(RequestUnion::CreateRequest(it)),
            })
        });
        async move { client.watch(request).await }
    })
    // The header's revision is that of now, also where events of earlier ones are still to come.
    .token(|response: &WatchResponse| {
        let last = response.events.last()?.kv.as_ref()?;
        Some(last.mod_revision + 1)
    })
    .resume(|first, start_revision| WatchCreateRequest {
        start_revision,
        ..first.clone()
    })
    .start_at(from)
    .lost(|response| response.compact_revision > 0)
    .on_lost(OnLost::Restart)
    .on_end(OnEnd::Reopen)
    .idle_timeout(SILENT)
    .method("/etcdserverpb.Watch/Watch")
    .build()?;
    Ok(watch)
}

/// Reads for ever. After a gap it reads all keys, and goes on behind them.
async fn read(watch: &mut Watch, members: &[String], seen: &Mutex<Seen>) -> Result<(), Failure> {
    while let Some(event) = watch.next().await {
        let report = watch.report().to_string();
        match event? {
            streams::Event::Item(response) => {
                let mut events = Vec::new();
                for event in response.events {
                    let kv = event.kv.ok_or("an event without a key")?;
                    events.push((number(&kv.key)?, kv.mod_revision));
                }
                with(seen, |it| it.events.append(&mut events));
            }
            streams::Event::Gap(_) => {
                let request = RangeRequest {
                    key: KEYS.into(),
                    range_end: END.into(),
                    limit: 0,
                };
                let client = bare(members)?;
                let mut client = client.max_decoding_message_size(usize::MAX);
                let answer = client.range(request).await?.into_inner();
                let keys = answer.kvs.iter().map(|it| number(&it.key));
                let keys = keys.collect::<Result<BTreeSet<_>, _>>()?;
                let revision = answer.header.ok_or("an answer without a header")?.revision;
                with(seen, |it| {
                    it.gaps += 1;
                    it.read.extend(keys);
                });
                watch.resume_from(revision + 1);
            }
        }
        with(seen, |it| it.report = report);
    }
    Err("the watch ended".into())
}
