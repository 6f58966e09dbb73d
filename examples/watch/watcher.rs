//! One watcher, which checks each event that it gets.

use std::sync::Arc;
use std::time::Duration;

use grpc_resilience::backoff::Exponential;
use grpc_resilience::report::StreamReport;
use grpc_resilience::streams::{Event, OnEnd, OnLost, Resumable};
use grpc_resilience::{CallOptionsExt as _, RetryPolicy};
use grpc_resilience_examples::{Failure, Transport};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tonic::Request;

use crate::proto::store_client::StoreClient;
use crate::proto::{ReadRequest, WatchRequest, WatchResponse};

/// After this silence a stream is opened again; the store writes every five milliseconds.
const IDLE: Duration = Duration::from_secs(1);

/// How long it reads on after the last write.
const LAST: Duration = Duration::from_secs(10);

/// What a watcher has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) events: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// The gaps that it was told of, and the events in them.
    pub(crate) gaps: u32,
    pub(crate) skipped: u64,
    pub(crate) opens: u32,
    pub(crate) longest_silence: Duration,
    /// The number of the next event.
    next: u64,
}

impl Seen {
    /// Counts the events of a response.
    fn take(&mut self, response: &WatchResponse) {
        for number in &response.events {
            self.events += 1;
            self.lost += number.saturating_sub(self.next);
            self.doubled += u64::from(*number < self.next);
            self.next = self.next.max(number + 1);
        }
    }
}

pub(crate) struct Watcher<C> {
    client: StoreClient<C>,
    events: Resumable<WatchResponse, u64>,
    seen: Arc<Mutex<Seen>>,
}

impl<C: Transport + Sync> Watcher<C> {
    /// Watches from the next revision on.
    pub(crate) async fn start(channel: C, seen: &Arc<Mutex<Seen>>) -> Result<Self, Failure> {
        let mut client = StoreClient::new(channel);
        let state = client.read(ReadRequest {}).await?.into_inner();
        seen.lock().next = state.events + 1;
        let request = WatchRequest {
            start_revision: state.revision + 1,
        };
        let opener = client.clone();
        let events = Resumable::builder(Request::new(request), move |request| {
            let mut client = opener.clone();
            async move { client.watch(request).await }
        })
        .token(|response| (!response.fragment).then_some(response.revision + 1))
        .resume(|_first, start_revision| WatchRequest { start_revision })
        .hold_until_token()
        .lost(|response| response.compact_revision > 0)
        .start_at(state.revision + 1)
        .on_lost(OnLost::Restart)
        .on_end(OnEnd::Reopen)
        .policy(policy()?)
        .open_timeout(IDLE)
        .idle_timeout(IDLE)
        .method("/watch.v1.Store/Watch")
        .build()?;
        Ok(Self {
            client,
            events,
            seen: Arc::clone(seen),
        })
    }

    /// Until it has this event, or none comes any more.
    pub(crate) async fn read(&mut self, last: impl Fn() -> Option<u64>) -> Result<(), Failure> {
        let mut heard = Instant::now();
        let report = self.events.report();
        loop {
            if last().is_some_and(|last| self.seen.lock().next > last) {
                break;
            }
            let Ok(event) = timeout(LAST, self.events.next()).await else {
                break;
            };
            let silence = heard.elapsed();
            heard = Instant::now();
            {
                let mut seen = self.seen.lock();
                seen.longest_silence = seen.longest_silence.max(silence);
                seen.opens = report.opens();
            }
            match event.ok_or("the watch ended")?? {
                Event::Item(response) => self.seen.lock().take(&response),
                Event::Gap(_) => self.read_again(&report).await?,
            }
        }
        let mut seen = self.seen.lock();
        let missing = last().map_or(0, |last| (last + 1).saturating_sub(seen.next));
        seen.lost += missing;
        Ok(())
    }

    /// Messages are lost, so it reads the state and watches from there on.
    async fn read_again(&mut self, report: &StreamReport) -> Result<(), Failure> {
        let mut request = Request::new(ReadRequest {});
        request.call_options().wait_for_ready();
        let state = self.client.read(request).await?.into_inner();
        self.events.resume_from(state.revision + 1);
        let mut seen = self.seen.lock();
        seen.gaps = report.gaps();
        seen.skipped += (state.events + 1).saturating_sub(seen.next);
        seen.next = state.events + 1;
        Ok(())
    }
}

/// Comes back within half a second of the server.
fn policy() -> Result<RetryPolicy, Failure> {
    let backoff = Exponential::new(Duration::from_millis(50))?.max(Duration::from_millis(500))?;
    Ok(RetryPolicy::until_deadline().backoff(backoff))
}
