//! The record of all calls, and the entry that follows one call to its end.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
};

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use tokio::{sync::Notify, time::Instant};

use crate::{Call, Outcome, lock::lock};

/// Every call that reached the server, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    records: Mutex<Records>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Records {
    next_id: u64,
    calls: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    id: u64,
    call: Call,
    request: BytesMut,
}

impl CallLog {
    /// Writes down a call that has just come in.
    pub(crate) fn enter(&self, head: &Parts, connection: u64) -> Entry {
        let header = |name: &str| {
            let value = head.headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let call = Call {
            method: head.uri.path().to_owned(),
            timeout: header("grpc-timeout"),
            previous_attempts: header("grpc-previous-rpc-attempts"),
            call_id: header("x-call-id"),
            metadata: head.headers.clone(),
            at: Instant::now(),
            connection,
            request: Bytes::new(),
            request_ended: false,
            handler_ran: false,
            outcome: Outcome::Running,
        };
        let mut records = lock(&self.0.records);
        let id = records.next_id;
        records.next_id += 1;
        records.calls.push(Record {
            id,
            call,
            request: BytesMut::new(),
        });
        drop(records);
        self.0.changed.notify_waiters();
        Entry {
            log: self.clone(),
            id,
        }
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.0.records)
            .calls
            .iter()
            .map(Record::snapshot)
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.0.records).calls.len()
    }

    pub(crate) fn clear(&self) {
        lock(&self.0.records).calls.clear();
    }

    /// Waits until the calls are as `condition` says, and returns them.
    pub(crate) async fn wait_until(&self, mut condition: impl FnMut(&[Call]) -> bool) -> Vec<Call> {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            let calls = self.calls();
            if condition(&calls) {
                return calls;
            }
            changed.await;
        }
    }

    /// Changes the record `id`, unless it was cleared away.
    fn update(&self, id: u64, change: impl FnOnce(&mut Record)) {
        let mut records = lock(&self.0.records);
        if let Some(record) = records.calls.iter_mut().rfind(|record| record.id == id) {
            change(record);
        }
        drop(records);
        self.0.changed.notify_waiters();
    }
}

impl Record {
    fn snapshot(&self) -> Call {
        Call {
            request: Bytes::copy_from_slice(&self.request),
            ..self.call.clone()
        }
    }
}

/// One call in the log. It stays with the work on the call: dropped before [`finish`](Self::finish), the call was
/// cancelled.
#[derive(Debug)]
pub(crate) struct Entry {
    log: CallLog,
    id: u64,
}

impl Entry {
    /// What follows the request's body of the same call.
    pub(crate) fn reader(&self) -> Reader {
        Reader {
            log: self.log.clone(),
            id: self.id,
        }
    }

    pub(crate) fn handler_runs(&self) {
        self.log
            .update(self.id, |record| record.call.handler_ran = true);
    }

    pub(crate) fn finish(&self) {
        self.end(Outcome::Finished);
    }

    fn end(&self, outcome: Outcome) {
        self.log.update(self.id, |record| {
            if record.call.outcome == Outcome::Running {
                record.call.outcome = outcome;
            }
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}

/// Writes down what is read of a request's body.
#[derive(Debug)]
pub(crate) struct Reader {
    log: CallLog,
    id: u64,
}

impl Reader {
    pub(crate) fn read(&self, data: &[u8]) {
        self.log
            .update(self.id, |record| record.request.extend_from_slice(data));
    }

    pub(crate) fn ended(&self) {
        self.log
            .update(self.id, |record| record.call.request_ended = true);
    }
}
