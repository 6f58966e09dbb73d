use std::fmt;
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::Connection;

use super::tap::Tap;
use crate::kernel::sync::Mutex;

/// No thread polls the connection.
const IDLE: u8 = 0;
/// A thread polls it.
const BUSY: u8 = 1;
/// A thread polls it, and another one asked for a poll meanwhile.
const ASKED: u8 = 2;

/// An h2 connection that its task polls, and calls that have queued enough for a write (early
/// flush). Neither blocks the other: a thread that finds it busy leaves a mark, and the holder
/// polls once more.
///
/// Every poll uses the task's waker, so the task is woken for all that happens.
pub(super) struct Cell {
    word: AtomicU8,
    /// Never locked by two at once: the word says who may.
    inside: Mutex<Inside>,
    task: OnceLock<Waker>,
    /// The connection is to end, or its task is gone.
    is_closed: AtomicBool,
}

struct Inside {
    connection: Option<Connection<Tap, Bytes>>,
    /// How the connection ended, until its task fetches it.
    end: Option<Result<(), h2::Error>>,
}

impl Cell {
    pub(super) fn new(connection: Connection<Tap, Bytes>) -> Self {
        Self {
            word: AtomicU8::new(IDLE),
            inside: Mutex::new(Inside {
                connection: Some(connection),
                end: None,
            }),
            task: OnceLock::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The connection for oneself; `None` if another thread has it.
    #[inline]
    pub(super) fn try_enter(&self) -> Option<Turn<'_>> {
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        let is_mine = self.word.compare_exchange(IDLE, BUSY, success, failure);
        is_mine.is_ok().then(|| Turn { cell: self })
    }

    /// The connection for oneself; `None`, and a mark, if another thread has it.
    #[inline]
    pub(super) fn enter(&self) -> Option<Turn<'_>> {
        loop {
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            match self.word.compare_exchange(IDLE, BUSY, success, failure) {
                Ok(_) => return Some(Turn { cell: self }),
                Err(ASKED) => return None,
                Err(_) => {
                    let marked = self.word.compare_exchange(BUSY, ASKED, success, failure);
                    if marked.is_ok() {
                        return None;
                    }
                }
            }
        }
    }

    /// The connection's task is the one with this waker.
    pub(super) fn run_by(&self, waker: &Waker) {
        if self.task.get().is_none() {
            let _ = self.task.set(waker.clone());
        }
    }

    /// Wakes the connection's task.
    pub(super) fn wake(&self) {
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    /// Ends the connection: what is open on it fails.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // The last holder of the connection drops it.
        drop(self.enter());
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn drop_connection(&self) {
        let connection = self.inside.lock().connection.take();
        // Without the lock: it wakes all calls.
        drop(connection);
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").finish_non_exhaustive()
    }
}

/// The right to poll the connection.
pub(super) struct Turn<'a> {
    cell: &'a Cell,
}

impl Turn<'_> {
    /// Polls the connection, once more if another thread asked meanwhile; `Ready` once it is over.
    pub(super) fn poll(&mut self) -> Poll<()> {
        let Some(task) = self.cell.task.get() else {
            // The task has not begun, and polls first thing.
            return Poll::Pending;
        };
        let mut cx = Context::from_waker(task);
        let over = self.poll_once(&mut cx);
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        let asked = self
            .cell
            .word
            .compare_exchange(ASKED, BUSY, success, failure);
        if over.is_pending() && asked.is_ok() {
            return self.poll_once(&mut cx);
        }
        over
    }

    fn poll_once(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inside = self.cell.inside.lock();
        let Some(connection) = &mut inside.connection else {
            return Poll::Ready(());
        };
        let Poll::Ready(end) = Pin::new(connection).poll(cx) else {
            return Poll::Pending;
        };
        inside.connection = None;
        inside.end = Some(end);
        Poll::Ready(())
    }

    /// How the connection ended.
    pub(super) fn take_end(&mut self) -> Option<Result<(), h2::Error>> {
        self.cell.inside.lock().end.take()
    }

    /// Sets the flow-control window of each stream; `false` if the peer has yet to acknowledge an
    /// earlier change.
    pub(super) fn set_stream_window(&mut self, bytes: u32) -> bool {
        let mut inside = self.cell.inside.lock();
        let connection = inside.connection.as_mut();
        connection.is_none_or(|it| it.set_initial_window_size(bytes).is_ok())
    }

    /// Sets how many unread bytes the peer may send.
    pub(super) fn set_window(&mut self, bytes: u32) {
        if let Some(connection) = &mut self.cell.inside.lock().connection {
            connection.set_target_window_size(bytes);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // After a panic in h2 or in a waker the connection's state is unknown.
            self.cell.is_closed.store(true, Ordering::Release);
        }
        let was_closed = self.cell.is_closed();
        if was_closed {
            self.cell.drop_connection();
        }
        let before = self.cell.word.swap(IDLE, Ordering::AcqRel);
        if before == ASKED || was_closed {
            self.cell.wake();
        }
        if !was_closed && self.cell.is_closed() {
            drop(self.cell.enter());
        }
    }
}
