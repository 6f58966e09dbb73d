use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;

use crate::channel::connection::Connection;
use crate::channel::load::Ended;
use crate::grpc::Code;

/// A stream's slot on a connection, given back on drop.
///
/// It is dropped after h2's handles of the stream: then h2 has the reset of a cancelled call.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) connection: Arc<Connection>,
    /// The request was given to h2 whole, and the response ended: the stream is over in h2 too.
    is_sent: AtomicBool,
    is_answered: AtomicBool,
    /// It was used for a stream.
    is_used: AtomicBool,
    /// The endpoint failed the call.
    is_failed: AtomicBool,
    /// Its latency is in the endpoint's load already.
    is_measured: AtomicBool,
    /// When the call began, by the clock of the endpoint's load.
    start: u64,
}

impl Slot {
    /// One that was taken from the connection's, at `now` by the clock of the endpoint's load.
    #[inline]
    pub(crate) fn taken(connection: Arc<Connection>, now: u64) -> Self {
        connection.load.begin(now);
        Self {
            connection,
            is_failed: AtomicBool::new(false),
            start: now,
            is_measured: AtomicBool::new(false),
            is_sent: AtomicBool::new(false),
            is_answered: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
        }
    }

    pub(super) fn used(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// The whole request was given to h2.
    pub(super) fn sent(&self) {
        self.is_sent.store(true, Ordering::Release);
    }

    /// The peer ended the stream.
    pub(super) fn answered(&self) {
        self.is_answered.store(true, Ordering::Release);
    }

    /// The peer reset the stream, or the connection is over.
    pub(super) fn ended(&self) {
        self.sent();
        self.answered();
    }

    /// The endpoint failed the call, which weighs as a slow one (CONTRACT L3).
    pub(super) fn failed(&self) {
        self.is_failed.store(true, Ordering::Relaxed);
    }

    /// The call ended with the status in these headers.
    #[inline]
    pub(super) fn answered_with(&self, headers: &HeaderMap) {
        if let Some(code) = Code::from_headers(headers)
            && is_failure(code)
        {
            self.failed();
        }
    }

    /// A message came: the latency of a call is that of its first one, for a stream may go on for
    /// hours. It came with the last bytes of the connection, or before them.
    #[inline]
    pub(super) fn message(&self) {
        if !self.is_measured.load(Ordering::Relaxed) {
            self.is_measured.store(true, Ordering::Relaxed);
            let Connection { load, facts, .. } = &*self.connection;
            load.answered(self.start, facts.read_nanos());
        }
    }

    /// Notes the end of the call in the endpoint's load.
    #[inline]
    fn note(&mut self) {
        let ended = match (*self.is_failed.get_mut(), *self.is_answered.get_mut()) {
            (true, _) => Ended::Failed,
            (false, true) => Ended::Well,
            (false, false) => Ended::Dropped,
        };
        let is_measured = *self.is_measured.get_mut();
        self.connection.load.end(self.start, is_measured, ended);
    }
}

/// What a client takes for a fault of the endpoint, rather than the answer to its request.
fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::Internal
            | Code::Unknown
            | Code::DataLoss
            | Code::DeadlineExceeded
    )
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !*self.is_used.get_mut() {
            self.connection.load.unsent();
            return self.connection.free_slot();
        }
        self.note();
        if *self.is_sent.get_mut() && *self.is_answered.get_mut() {
            self.connection.accepted();
            self.connection.free_slot();
        } else {
            self.connection.cancel_slot();
        }
    }
}

/// A slot, which a call has for itself unless a task pumps its body.
#[derive(Debug)]
pub(super) enum Held {
    Alone(Slot),
    Shared(Arc<Slot>),
}

impl Deref for Held {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        match self {
            Self::Alone(slot) => slot,
            Self::Shared(slot) => slot,
        }
    }
}
