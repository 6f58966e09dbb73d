//! Server streams that are opened again whenever their instance drains.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use grpc_resilience::CallOptionsExt as _;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Status};

use crate::client::Client;
use crate::proto::Hello;

/// What became of the streams.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) opened: AtomicU32,
    pub(crate) greetings: AtomicU32,
    failures: Mutex<Vec<String>>,
}

impl Streams {
    /// How many failed, with the first failure.
    pub(crate) fn failures(&self) -> String {
        let failures = self.failures.lock();
        let words = failures.first().map(|it| format!(" ({it})"));
        let opened = self.opened.load(Relaxed);
        format!(
            "{} of {opened}{}",
            failures.len(),
            words.unwrap_or_default()
        )
    }

    pub(crate) fn failed(&self) -> usize {
        self.failures.lock().len()
    }
}

/// Runs this number of them for this time.
pub(crate) async fn follow(client: &Client, count: u32, length: Duration) -> Arc<Streams> {
    let streams = Arc::<Streams>::default();
    let end = Instant::now() + length;
    let tasks: Vec<_> = (0..count)
        .map(|_| tokio::spawn(follow_one(client.clone(), Arc::clone(&streams), end)))
        .collect();
    for task in tasks {
        // It panics never, and is aborted by none.
        let _ = task.await;
    }
    streams
}

async fn follow_one(mut client: Client, streams: Arc<Streams>, end: Instant) {
    while Instant::now() < end {
        streams.opened.fetch_add(1, Relaxed);
        let followed = timeout_at(end, read(&mut client, &streams)).await;
        if let Ok(Err(status)) = followed {
            let words = format!("{:?}: {}", status.code(), status.message());
            streams.failures.lock().push(words);
        }
    }
}

/// Until the instance ends it.
async fn read(client: &mut Client, streams: &Streams) -> Result<(), Status> {
    let mut request = Request::new(Hello {});
    request.call_options().no_timeout();
    let mut greetings = client.greeter.follow(request).await?.into_inner();
    while greetings.message().await?.is_some() {
        streams.greetings.fetch_add(1, Relaxed);
    }
    Ok(())
}
