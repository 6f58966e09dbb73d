use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use http::{HeaderMap, Response};
use tokio::time::Instant;

use crate::call::{AttemptEnd, Deadline};
use crate::channel::connection::Connection;
use crate::channel::eject::Blame;
use crate::channel::load::Ended;
use crate::classify::{Reason, Verdict};
use crate::grpc::{Code, Status};

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
    /// The endpoint failed the call: what ejection takes that for.
    blame: AtomicU8,
    /// The response began.
    has_head: AtomicBool,
    /// It decides whether the endpoint is back (CONTRACT O3).
    is_probe: bool,
    /// When the attempt of which it is ends.
    attempt: Option<Arc<AttemptEnd>>,
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
            blame: AtomicU8::new(0),
            has_head: AtomicBool::new(false),
            is_probe: false,
            attempt: None,
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

    /// This call decides whether the endpoint is back.
    pub(crate) fn probing(mut self) -> Self {
        self.is_probe = true;
        self
    }

    /// A layer above ends the call then.
    pub(crate) fn ends_by(&mut self, attempt: Option<Arc<AttemptEnd>>) {
        self.attempt = attempt;
    }

    /// What ends the call instead, if its attempt goes on after all (CONTRACT D12).
    pub(super) fn lifted(&self) -> Option<Deadline> {
        self.attempt.as_ref()?.lifted()
    }

    /// The response began.
    pub(super) fn headed(&self) {
        self.has_head.store(true, Ordering::Relaxed);
    }

    /// The endpoint failed the call, which weighs as a slow one (CONTRACT L3).
    pub(super) fn failed(&self, blame: Blame) {
        self.blame.store(word(blame), Ordering::Relaxed);
    }

    /// The call ended with the status in these headers.
    #[inline]
    pub(super) fn answered_with(&self, headers: &HeaderMap) {
        match Code::from_headers(headers) {
            Some(code) if is_failure(code) => self.failed_with(code),
            Some(Code::Cancelled) => self.blame.store(CANCELLED, Ordering::Relaxed),
            _ => {}
        }
    }

    /// The answer is a proxy's page, unless it has a status of gRPC.
    #[cold]
    pub(super) fn refused<B>(&self, response: &Response<B>) {
        if Code::from_headers(response.headers()).is_none() {
            let status = Status::from_http(response.status(), response.headers());
            if is_failure(status.code()) {
                self.failed_with(status.code());
            }
        }
    }

    /// The call ended with this code, a failure.
    #[cold]
    pub(super) fn failed_with(&self, code: Code) {
        let blame = match Blame::of(code) {
            // What a server says while it goes away is no failure (CONTRACT C5).
            Blame::Rate | Blame::Both if self.connection.facts.is_leaving() => Blame::None,
            blame => blame,
        };
        self.failed(blame);
    }

    /// The server did not process the call, because it goes away: that says nothing of it.
    #[cold]
    pub(super) fn unprocessed(&self) {
        self.blame.store(CANCELLED, Ordering::Relaxed);
    }

    /// The call ended without a status.
    #[cold]
    pub(super) fn broken(&self, verdict: &Verdict) {
        let facts = &self.connection.facts;
        match verdict.reason {
            Reason::StreamReset => self.failed_with(verdict.code),
            Reason::ConnectionLost
            | Reason::KeepaliveTimeout
            | Reason::GoAwayError
            | Reason::Queued => {
                let is_own = facts.is_cut() || facts.is_leaving();
                // However many calls were on it, one connection was lost.
                self.failed(if !is_own && facts.is_first_loss() {
                    Blame::Both
                } else {
                    Blame::None
                });
            }
            _ => self.failed(Blame::None),
        }
    }

    /// A message came: the latency of a call is that of its first one, for a stream may go on for
    /// hours. It came with the last bytes of the connection, or before them. Whether it is the
    /// first.
    #[inline]
    pub(super) fn message(&self) -> bool {
        let is_first = !self.is_measured.load(Ordering::Relaxed);
        if is_first {
            self.is_measured.store(true, Ordering::Relaxed);
            let Connection { load, facts, .. } = &*self.connection;
            load.answered(self.start, facts.read_nanos());
            if self.is_probe {
                // A stream may go on for hours.
                self.probed(Ended::Well);
            }
        }
        is_first
    }

    /// Notes the end of the call in the endpoint's load.
    #[inline]
    fn note(&mut self) {
        let ended = match (*self.blame.get_mut(), *self.is_answered.get_mut()) {
            (0, true) => Ended::Well,
            (0, false) => self.dropped(),
            (CANCELLED, _) => Ended::Dropped,
            (failed, _) => Ended::Failed(blame_of(failed)),
        };
        let is_measured = *self.is_measured.get_mut();
        self.connection.load.end(self.start, is_measured, ended);
        if self.is_probe {
            self.probed(ended);
        }
    }

    /// The caller gave it up, or a layer did at the end of the attempt (CONTRACT O2).
    fn dropped(&mut self) -> Ended {
        let (has_head, is_measured) = (*self.has_head.get_mut(), *self.is_measured.get_mut());
        let is_over = |it: &Arc<AttemptEnd>| it.is_over(Instant::now(), has_head, is_measured);
        match self.attempt.as_ref().filter(|it| is_over(it)) {
            Some(attempt) => {
                // A wait for a stream of the connection is part of the attempt.
                let began = attempt.began().min(self.connection.load.at(self.start));
                Ended::Failed(self.connection.timed_out(began))
            }
            None => Ended::Dropped,
        }
    }

    #[cold]
    fn probed(&self, ended: Ended) {
        let Some(tally) = self.connection.load.tally() else {
            return;
        };
        match ended {
            Ended::Well | Ended::Failed(Blame::Answered) => tally.probed(self.start, true),
            Ended::Failed(Blame::None) | Ended::Dropped => tally.no_probe(self.start),
            Ended::Failed(Blame::Rate | Blame::Both) => tally.probed(self.start, false),
        }
    }
}

/// The call was cancelled, or not processed, which is neither a failure nor an answer.
const CANCELLED: u8 = 5;

/// How a slot notes it; 0 is no failure.
fn word(blame: Blame) -> u8 {
    match blame {
        Blame::Answered => 1,
        Blame::None => 2,
        Blame::Rate => 3,
        Blame::Both => 4,
    }
}

fn blame_of(word: u8) -> Blame {
    match word {
        1 => Blame::Answered,
        3 => Blame::Rate,
        4 => Blame::Both,
        _ => Blame::None,
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
            if self.is_probe {
                self.probed(Ended::Dropped);
            }
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

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
