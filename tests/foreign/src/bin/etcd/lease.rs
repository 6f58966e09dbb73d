//! Streams that keep a lease alive, under a timeout of attempts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use foreign::Failure;
use foreign::over::{Over, Wrapped};
use foreign::promises::Promises;
use foreign::tally::Failed;
use grpc_resilience::{CallOptionsExt as _, Resilience};
use tokio::time::{Instant, interval, timeout};
use tokio_stream::wrappers::IntervalStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Status};

use crate::calls::{described, undescribed};
use crate::cluster::Cluster;
use crate::proto::lease_client::LeaseClient;
use crate::proto::{LeaseGrantRequest, LeaseKeepAliveRequest};

/// Time for a slow machine to answer once.
const ATTEMPT: Duration = Duration::from_secs(5);
const LIFE: Duration = Duration::from_secs(30);
/// How often the lease is kept alive.
const PERIOD: Duration = Duration::from_secs(1);
/// In seconds.
const TTL: i64 = 10;

/// How a stream ended, and how many answers came before.
#[derive(Debug)]
struct Ended {
    after: Duration,
    answers: usize,
    /// `None` while it lives.
    failed: Option<Failed>,
}

/// The streams of one client: one whose kind is known, and one whose kind is unknown.
pub(crate) struct Streams {
    name: String,
    known: Ended,
    unknown: Ended,
}

/// Keeps leases alive by streams over each channel, all at the same time.
pub(crate) async fn run(version: &str, cluster: &Cluster) -> Result<[Streams; 2], Failure> {
    let member = cluster.uris().swap_remove(0);
    let (ours, tonics) = tokio::try_join!(
        streams(version, Over::Ours, &member),
        streams(version, Over::Tonic, &member)
    )?;
    Ok([ours, tonics])
}

async fn streams(version: &str, over: Over, member: &str) -> Result<Streams, Failure> {
    let known = keep_alive(over, member, described(ATTEMPT)?);
    let unknown = keep_alive(over, member, undescribed(ATTEMPT)?);
    let (known, unknown) = tokio::try_join!(known, unknown)?;
    Ok(Streams {
        name: format!("{version}, {over}"),
        known,
        unknown,
    })
}

/// A stream whose kind is known lives on; one whose kind is unknown names what ended it.
pub(crate) fn check(streams: &Streams, promises: &mut Promises) {
    let Streams {
        name,
        known,
        unknown,
    } = streams;
    println!("{name}, a lease's stream of a known kind: {known:?}");
    println!("{name}, one of unknown kind: {unknown:?}");
    promises.check(
        known.failed.is_none() && known.after >= LIFE && known.answers >= 20,
        format!("{name}: a lease's stream of a known kind lives for {LIFE:?}: {known:?}"),
    );
    let names_it = |failed: &Failed| {
        let said = format!("the attempt's timeout of {ATTEMPT:?} passed");
        failed.message.starts_with(&said) && failed.reason.as_deref() == Some("attempt_timed_out")
    };
    promises.check(
        unknown.answers > 0 && unknown.failed.as_ref().is_some_and(names_it),
        format!("{name}: the end of one of unknown kind names the timeout: {unknown:?}"),
    );
}

async fn keep_alive(over: Over, member: &str, stack: Resilience) -> Result<Ended, Failure> {
    let wrapped = over.wrap(&stack, &[member.to_owned()], &Arc::default())?;
    let mut client = LeaseClient::new(wrapped);
    let grant = LeaseGrantRequest { ttl: TTL, id: 0 };
    let id = client.lease_grant(grant).await?.into_inner().id;
    let ticks = IntervalStream::new(interval(PERIOD)).map(move |_| LeaseKeepAliveRequest { id });
    let mut request = Request::new(ticks);
    request.call_options().no_timeout();
    let (start, answers) = (Instant::now(), AtomicUsize::new(0));
    let ended = timeout(LIFE, read(client, request, &answers)).await;
    Ok(Ended {
        after: start.elapsed(),
        answers: answers.into_inner(),
        failed: ended.ok().map(|status| Failed::new(&status)),
    })
}

/// Reads a stream to its end, and counts what comes.
async fn read<S>(
    mut client: LeaseClient<Wrapped>,
    request: Request<S>,
    count: &AtomicUsize,
) -> Status
where
    S: Stream<Item = LeaseKeepAliveRequest> + Send + 'static,
{
    let mut answers = match client.lease_keep_alive(request).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return status,
    };
    loop {
        match answers.message().await {
            Ok(Some(_)) => count.fetch_add(1, Relaxed),
            Ok(None) => return Status::ok("the server ended the stream"),
            Err(status) => return status,
        };
    }
}
