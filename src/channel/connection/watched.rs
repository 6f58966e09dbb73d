//! The health watch of a connection, as the connection sees it: a stream that is no call (CONTRACT
//! G4).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Waker;

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

    pub(super) fn run_by(&self, task: &Waker) {
        let mut waker = self.task.lock();
        match &mut *waker {
            Some(waker) => waker.clone_from(task),
            none => *none = Some(task.clone()),
        }
    }

    pub(super) fn begins(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    pub(super) fn opened(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.is_open.store(false, Ordering::Release);
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    pub(super) fn streams(&self) -> u32 {
        self.streams.load(Ordering::Relaxed)
    }
}
