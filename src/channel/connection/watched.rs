//! The health watch of a connection, as the connection sees it: a stream that is no call (CONTRACT
//! G4).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Waker;

use bytes::Bytes;
use h2::client::ResponseFuture;
use http::Request;

use super::sent::{First, Sent, Why, copy};
use super::shared::Connection;
use crate::kernel::sync::Mutex;

#[derive(Debug, Default)]
pub(super) struct Watched {
    is_open: AtomicBool,
    /// The streams that were opened for watches, one after another.
    streams: AtomicU32,
    /// The task of the watch.
    task: Mutex<Option<Waker>>,
}

impl Watched {
    /// Something happened that may end the watch, or let it begin.
    pub(super) fn wake(&self) {
        let task = self.task.lock().take();
        task.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    pub(super) fn streams(&self) -> u32 {
        self.streams.load(Ordering::Relaxed)
    }
}

/// Why no watch was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwatched {
    /// The connection takes no new stream.
    Gone,
    /// The peer has lowered its limit, and h2 holds a stream.
    Held,
}

impl Connection {
    /// Opens a watch with this request.
    pub(crate) fn watch(
        &self,
        head: &Request<()>,
        request: Bytes,
    ) -> Result<ResponseFuture, Unwatched> {
        // The connection's task looks at it when the stream is there.
        self.watched.is_open.store(true, Ordering::Release);
        match self.send(copy(head), First::Whole(request)) {
            Sent::Yes(response, _) => {
                // Its response proves nothing of calls (CONTRACT C3).
                self.facts.set_watch(response.stream_id().as_u32());
                self.watched.streams.fetch_add(1, Ordering::Relaxed);
                Ok(response)
            }
            Sent::No(unsent) if unsent.why == Why::Held => {
                self.watch_ended();
                Err(Unwatched::Held)
            }
            Sent::No(_) | Sent::Malformed(_) => {
                self.watch_ended();
                Err(Unwatched::Gone)
            }
        }
    }

    /// The stream of the watch is over.
    pub(crate) fn watch_ended(&self) {
        self.watched.is_open.store(false, Ordering::Release);
    }

    /// Wakes this task once the watch is to end, or may begin.
    pub(crate) fn watch_by(&self, task: &Waker) {
        let mut waker = self.watched.task.lock();
        match &mut *waker {
            Some(waker) => waker.clone_from(task),
            none => *none = Some(task.clone()),
        }
    }
}
