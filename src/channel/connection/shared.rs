use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Plan;
use super::batch::Batch;
use super::cell::{Cell, Turn};
use super::complaints::Complaints;
use super::facts::Facts;
use super::handshake::Shaken;
use super::keepalive::Pinger;
use super::limit::{Limit, Limits};
use super::sent::{First, Sent, Unsent, Why, copy};
use super::slots::Slots;
use super::stance::Stance;
use super::watched::Watched;
use crate::channel::lines::Lines;
use crate::channel::load::Load;
use crate::kernel::sync::Mutex;

/// One HTTP/2 connection, shared by its task and its calls.
pub(crate) struct Connection {
    /// The endpoint's name, for errors and responses.
    pub(crate) endpoint: Arc<str>,
    /// The endpoint's.
    pub(crate) load: Arc<Load>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) slots: Slots,
    pub(crate) started: Instant,
    /// Where body pumps run.
    pub(crate) runtime: Handle,
    pub(super) cell: Cell,
    /// `None` once the connection takes no call any more: h2 closes it after its last stream.
    send: Mutex<Option<SendRequest<Bytes>>>,
    limits: Mutex<Limits>,
    pub(super) watched: Watched,
    pub(super) batch: Batch,
    newest: AtomicU32,
    /// At this stream it is replaced.
    last_stream: u32,
    pub(super) stance: Stance,
    /// `None` if it sends no PING to find out whether the peer is alive.
    pub(super) pinger: Option<Mutex<Pinger>>,
    is_noticed: AtomicBool,
    /// Something was refused, so that all streams count for the own limit.
    is_lowered: AtomicBool,
    /// The SETTINGS frames that the limit is of.
    settings: AtomicU32,
    /// Bytes of DATA that readers took.
    pub(super) taken: AtomicU64,
    pub(super) window: AtomicU32,
    pub(super) base_window: AtomicU32,
    /// The window of a stream, and what the estimate wants it to be.
    pub(super) stream_window: AtomicU32,
    pub(super) wanted_window: AtomicU32,
    is_adaptive: bool,
    queue: Arc<Lines>,
    complaints: Arc<Complaints>,
}

/// At 75 % of the ids that there are, a connection is replaced (CONTRACT C13).
const LAST_STREAM: u32 = 0x6000_0000;

impl Connection {
    pub(super) fn new(plan: &Plan, shaken: Shaken, runtime: Handle) -> Self {
        let Plan {
            http2,
            max_requests,
            ..
        } = plan;
        let Shaken {
            send,
            connection,
            facts,
            peer_limit,
            window,
        } = shaken;
        let started = Instant::now();
        let configured = http2.max_streams;
        let limits = Limits {
            peer: peer_limit,
            own: Limit::default(),
            configured,
            has_watch: plan.has_watch,
        };
        Self {
            endpoint: Arc::clone(&plan.endpoint),
            load: Arc::clone(&plan.load),
            slots: Slots::new(limits.calls()),
            started,
            runtime,
            cell: Cell::new(connection),
            send: Mutex::new(Some(send)),
            limits: Mutex::new(limits),
            watched: Watched::default(),
            batch: Batch::default(),
            newest: AtomicU32::new(0),
            last_stream: max_requests.last_stream().min(LAST_STREAM),
            stance: Stance::default(),
            pinger: plan
                .keepalive
                .map(|it| Mutex::new(Pinger::new(it, started))),
            is_noticed: AtomicBool::new(false),
            is_lowered: AtomicBool::new(false),
            settings: AtomicU32::new(facts.settings()),
            taken: AtomicU64::new(0),
            window: AtomicU32::new(window),
            base_window: AtomicU32::new(window),
            stream_window: AtomicU32::new(http2.stream_window),
            wanted_window: AtomicU32::new(http2.stream_window),
            is_adaptive: http2.adaptive_window,
            queue: Arc::clone(&plan.queue),
            complaints: Arc::clone(&plan.complaints),
            facts,
        }
    }

    /// Whether a new call may go to it (CONTRACT C5).
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.stance.is_open() && !self.facts.is_broken() && self.facts.go_away().is_none()
    }

    /// Takes no new call any more, and ends after its last one.
    pub(crate) fn retire(&self) {
        self.stance.retire();
        let send = self.send.lock().take();
        drop(send);
        self.cell.wake();
        self.watched.wake();
    }

    /// Ends at once, with its calls.
    pub(crate) fn cut(&self) {
        self.facts.set_cut();
        self.cell.wake();
    }

    /// Nothing follows any more.
    pub(crate) fn is_over(&self) -> bool {
        self.cell.is_closed()
    }

    /// Sends a head, and with [`First::Whole`] the body in the same write (CONTRACT C9).
    pub(crate) fn send(&self, head: Request<()>, first: First) -> Sent {
        // While this thread has the connection, it can't end between the question whether it is
        // open and the request. If another thread has it, a copy of the head remains.
        let turn = self.cell.try_enter();
        let mut handle = self.send.lock();
        let why = match &mut *handle {
            Some(send) if self.is_open() => {
                match send.poll_ready(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Ok(())) => None,
                    Poll::Ready(Err(_)) => Some(Why::Gone),
                    Poll::Pending => Some(Why::Held),
                }
            }
            _ => Some(Why::Gone),
        };
        let (Some(send), None) = (&mut *handle, why) else {
            let why = why.unwrap_or(Why::Gone);
            return Sent::No(Box::new(Unsent { head, first, why }));
        };
        let spare = turn.is_none().then(|| copy(&head));
        let is_end = matches!(first, First::None);
        let (response, mut stream) = match send.send_request(head, is_end) {
            Ok(both) => both,
            Err(error) => match spare {
                Some(head) if error.is_go_away() || error.is_io() => {
                    let why = Why::Gone;
                    return Sent::No(Box::new(Unsent { head, first, why }));
                }
                _ => return Sent::Malformed(error),
            },
        };
        drop(handle);
        if let First::Whole(bytes) = first {
            // If the stream was reset meanwhile, its response says why.
            let _ = stream.send_data(bytes, true);
        }
        // h2 counts them from 1, by two.
        let before = self.newest.fetch_add(2, Ordering::Relaxed);
        self.opened(before.saturating_add(1));
        self.flush_early(turn);
        Sent::Yes(response, stream)
    }

    pub(super) fn opened(&self, stream: u32) {
        if stream >= self.last_stream && self.stance.retire() {
            self.cell.wake();
        }
    }

    /// Whether it opened all streams that it may.
    pub(crate) fn is_spent(&self) -> bool {
        self.newest() > self.last_stream
    }

    /// The caller that queues the K-th request since the last poll polls the connection itself, so
    /// that a batch of callers does not leave in one write after all of them have run.
    fn flush_early(&self, turn: Option<Turn<'_>>) {
        if !self.batch.add(self.slots.in_use()) {
            return;
        }
        // A thread that has it now may have begun before this request was queued.
        if let Some(mut turn) = turn.or_else(|| self.cell.enter()) {
            let data = self.facts.data();
            let is_over = self.poll(&mut turn).is_ready();
            let has_sample = self.is_adaptive && data != self.facts.data();
            if is_over || has_sample {
                // The task tells of the end, and sends the PINGs of the estimate.
                self.cell.wake();
            }
        }
    }

    /// Polls the connection, and does what follows from what it read and wrote.
    pub(super) fn poll(&self, turn: &mut Turn<'_>) -> Poll<()> {
        self.batch.write();
        let cancelled = self.slots.cancelled();
        self.widen(turn);
        let had_served = self.facts.has_served();
        let over = turn.poll();
        self.batch.answered(self.facts.take_answers());
        if cancelled > 0 && !self.facts.is_blocked() {
            // h2 has written all that it could write at once, the resets among it.
            self.slots.reset(cancelled);
            self.queue.free(cancelled);
        }
        if self.facts.settings() != self.settings.load(Ordering::Acquire) {
            self.refresh_limit();
        }
        if over.is_pending() && !self.is_open() {
            let is_news = !had_served && self.facts.has_served();
            let is_noticed = self.is_noticed.load(Ordering::Acquire);
            if is_news || self.is_leaving() && !is_noticed {
                self.cell.wake();
            }
        }
        over
    }

    /// The connection's task knows that it takes no new call.
    pub(super) fn notice(&self) {
        self.is_noticed.store(true, Ordering::Release);
    }

    /// The id after that of the newest stream.
    pub(super) fn newest(&self) -> u32 {
        self.newest.load(Ordering::Relaxed)
    }

    /// How many streams were opened on it.
    pub(crate) fn streams(&self) -> u32 {
        self.newest() / 2
    }

    /// How many of them were calls.
    pub(crate) fn calls(&self) -> u32 {
        self.streams().saturating_sub(self.watched.streams())
    }

    /// Whether a health watch is open.
    pub(super) fn is_watched(&self) -> bool {
        self.watched.is_open()
    }

    /// Whether a health watch leaves room for a call (CONTRACT G5).
    pub(crate) fn has_room_for_watch(&self) -> bool {
        self.limits.lock().has_room_for_watch()
    }

    /// No watch follows: calls get its stream.
    pub(crate) fn watch_no_more(&self) {
        let mut limits = self.limits.lock();
        limits.has_watch = false;
        self.apply(&limits);
    }

    /// Reads the peer's limit anew.
    #[cold]
    pub(crate) fn refresh_limit(&self) {
        let settings = self.facts.settings();
        let send = self.send.lock();
        let Some(peer) = send.as_ref().map(SendRequest::current_max_send_streams) else {
            return;
        };
        drop(send);
        let mut limits = self.limits.lock();
        limits.peer = u32::try_from(peer).unwrap_or(u32::MAX);
        if !self.facts.is_blocked() {
            // h2 applies SETTINGS with their acknowledgement, which may still wait.
            self.settings.store(settings, Ordering::Release);
        }
        self.apply(&limits);
    }

    fn apply(&self, limits: &Limits) {
        let limit = limits.calls();
        self.watched.wake();
        self.is_lowered
            .store(limits.own.is_lowered(), Ordering::Relaxed);
        if self.slots.set_limit(limit) {
            self.queue.free(self.slots.free());
        }
    }

    /// The peer refused this stream (CONTRACT C19). Far below its limit that says nothing of the
    /// limit.
    #[cold]
    pub(crate) fn refused(&self, stream: u32) {
        let mut limits = self.limits.lock();
        let (peer, newest) = (limits.peer, self.newest.load(Ordering::Relaxed));
        let is_near = self.slots.in_use() >= limits.own.of(peer).div_ceil(2);
        if is_near && limits.own.refused(stream, newest, peer) {
            self.apply(&limits);
        }
    }

    /// A stream ended and was not refused.
    #[inline]
    pub(crate) fn accepted(&self) {
        if self.is_lowered.load(Ordering::Relaxed) {
            let mut limits = self.limits.lock();
            let peer = limits.peer;
            if limits.own.accepted(peer) {
                self.apply(&limits);
            }
        }
    }

    /// The peer may have broken HTTP/2 (CONTRACT C18).
    #[cold]
    pub(crate) fn complain(&self, error: &h2::Error) {
        self.complaints.hear(&self.endpoint, error);
    }

    /// A call was dropped: its slot is free once h2 has written its reset.
    #[cold]
    pub(crate) fn cancel_slot(&self) {
        self.slots.cancel_one();
        self.cell.wake();
    }

    /// A slot is free.
    #[inline]
    pub(crate) fn free_slot(&self) {
        self.slots.free_one();
        self.queue.free(1);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("endpoint", &self.endpoint)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}
