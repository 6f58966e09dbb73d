//! The store: revisions of a few events each, which its server sends in whole or in fragments.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::proto::store_server::Store;
use crate::proto::{ReadRequest, ReadResponse, WatchRequest, WatchResponse};

/// The largest number of events in a response; a revision with more is sent in fragments.
const FRAGMENT: usize = 2;

/// Clones share the revisions.
#[derive(Clone, Debug)]
pub(crate) struct Revisions {
    log: Arc<Mutex<Log>>,
    newest: watch::Sender<u64>,
    /// After this number of responses a stream ends with OK.
    ends_after: watch::Sender<Option<usize>>,
}

#[derive(Debug, Default)]
struct Log {
    /// The events of each revision that is left, oldest first.
    revisions: Vec<Vec<u64>>,
    /// The revisions that were compacted.
    compacted: u64,
    events: u64,
}

impl Log {
    fn newest(&self) -> u64 {
        self.compacted + u64::try_from(self.revisions.len()).unwrap_or(u64::MAX)
    }

    /// The events of a revision, counted from 1.
    fn events_of(&self, revision: u64) -> Option<Vec<u64>> {
        let index = revision.checked_sub(self.compacted + 1)?;
        self.revisions.get(usize::try_from(index).ok()?).cloned()
    }
}

impl Revisions {
    pub(crate) fn new() -> Self {
        Self {
            log: Arc::default(),
            newest: watch::Sender::new(0),
            ends_after: watch::Sender::new(None),
        }
    }

    /// One to five events more, as one revision.
    pub(crate) fn write(&self) {
        let mut log = self.log.lock();
        let first = log.events + 1;
        let last = log.events + 1 + log.newest() % 5;
        log.revisions.push((first..=last).collect());
        log.events = last;
        self.newest.send_replace(log.newest());
    }

    /// Forgets all but the newest revisions.
    pub(crate) fn compact(&self, left: usize) {
        let mut log = self.log.lock();
        let forgotten = log.revisions.len().saturating_sub(left);
        log.revisions.drain(..forgotten);
        log.compacted += u64::try_from(forgotten).unwrap_or(u64::MAX);
    }

    pub(crate) fn end_streams_after(&self, responses: Option<usize>) {
        self.ends_after.send_replace(responses);
    }

    /// The newest revision, and the number of the last event.
    pub(crate) fn state(&self) -> ReadResponse {
        let log = self.log.lock();
        ReadResponse {
            revision: log.newest(),
            events: log.events,
        }
    }

    /// The responses from `next` on that there are, or the word that they are compacted.
    fn since(&self, next: &mut u64) -> Vec<WatchResponse> {
        let log = self.log.lock();
        if *next <= log.compacted {
            return vec![WatchResponse {
                compact_revision: log.compacted + 1,
                ..WatchResponse::default()
            }];
        }
        let mut responses = Vec::new();
        while let Some(events) = log.events_of(*next) {
            let parts = events.chunks(FRAGMENT);
            let last = parts.len().saturating_sub(1);
            responses.extend(parts.enumerate().map(|(part, events)| WatchResponse {
                revision: *next,
                events: events.to_vec(),
                fragment: part < last,
                compact_revision: 0,
            }));
            *next += 1;
        }
        responses
    }

    /// Sends what there is from `next` on, and what comes, until the caller leaves or this number
    /// of responses is sent.
    async fn send(self, sender: Responses, mut next: u64, most: Option<usize>) {
        let mut newest = self.newest.subscribe();
        let mut left = most.unwrap_or(usize::MAX);
        loop {
            for response in self.since(&mut next) {
                let is_compacted = response.compact_revision > 0;
                if left == 0 || sender.send(Ok(response)).await.is_err() {
                    return;
                }
                left -= 1;
                if is_compacted {
                    // As etcd does, it says no more on this stream.
                    return sender.closed().await;
                }
            }
            tokio::select! {
                () = sender.closed() => return,
                changed = newest.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

type Responses = mpsc::Sender<Result<WatchResponse, Status>>;

#[tonic::async_trait]
impl Store for Revisions {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn read(&self, _: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        Ok(Response::new(self.state()))
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let next = match request.get_ref().start_revision {
            0 => self.state().revision + 1,
            revision => revision,
        };
        let most = *self.ends_after.borrow();
        let (sender, responses) = mpsc::channel(8);
        tokio::spawn(self.clone().send(sender, next, most));
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}
