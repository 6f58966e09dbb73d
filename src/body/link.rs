use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use crate::kernel::sync::{AtomicUsize, Mutex, Ordering};

use super::here::is_in_call;

thread_local! {
    /// The link of the body that this crate is capturing on this thread.
    static CAPTURED: Cell<Option<RequestLink>> = const { Cell::new(None) };
}

/// A reader has polled the body.
const READ: usize = 1;
/// The reader was a transport's task, or another task outside the call.
const READ_ELSEWHERE: usize = 8;
/// The body fails from now on.
const ENDED: usize = 2;
/// A task waits for the next frame, and is woken when the body ends.
const WAITS: usize = 4;

/// The first reader of an attempt's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    None,
    /// A layer between the call and its transport, within the call's own polls.
    Layer,
    /// A transport in its own task. A layer that reads in its own task looks the same.
    Transport,
}

/// Ties one request body to the attempt that it is sent for.
///
/// The body records that it is read. A body that was not read proves that no connect error hides a
/// request that ran (CONTRACT I4c); a body that the transport read proves that a GOAWAY refused its
/// stream (I4b). The attempt ends the body, so the transport never completes a request whose call
/// is over (R13).
///
/// One word holds both facts: a body is either read before it ends, and the attempt knows it, or it
/// is never read.
#[derive(Clone, Debug)]
pub(super) struct RequestLink(Arc<State>);

#[derive(Debug)]
struct State {
    flags: AtomicUsize,
    /// The task that waits for the next frame.
    reader: Mutex<Option<Waker>>,
    /// The link of the outer layer's body that this one replaced or wraps. It is marked as read
    /// with this one, and its end ends this one.
    above: OnceLock<RequestLink>,
}

impl RequestLink {
    #[inline]
    pub(super) fn new(above: Option<Self>) -> Self {
        Self(Arc::new(State {
            flags: AtomicUsize::new(0),
            reader: Mutex::new(None),
            above: above.map_or_else(OnceLock::new, OnceLock::from),
        }))
    }

    /// Whether no attempt has used it.
    #[inline]
    pub(super) fn is_new(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.0.flags.load(Ordering::Acquire) == 0
    }

    /// Ends the body with the link `above` too; `false` if it has another one above.
    pub(super) fn end_with(&self, above: Self) -> bool {
        self.0.above.set(above).is_ok()
    }

    /// The first reader of the body.
    pub(super) fn reader(&self) -> Reader {
        let flags = self.0.flags.load(Ordering::Acquire);
        if flags & READ_ELSEWHERE != 0 {
            Reader::Transport
        } else if flags & READ != 0 {
            Reader::Layer
        } else {
            Reader::None
        }
    }

    #[inline]
    pub(super) fn above(&self) -> Option<&Self> {
        self.0.above.get()
    }

    /// Records that a reader polls the body; whether it may have the next frame.
    #[inline]
    pub(super) fn begin_read(&self) -> bool {
        let reads = if is_in_call() {
            READ
        } else {
            READ | READ_ELSEWHERE
        };
        let is_fresh = |flags| (flags & (READ | ENDED) == 0).then_some(flags | reads);
        let flags = &self.0.flags;
        let is_first = flags.load(Ordering::Acquire) & READ == 0
            && flags
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, is_fresh)
                .is_ok();
        if is_first && let Some(above) = self.above() {
            above.begin_read();
        }
        !self.has_ended()
    }

    /// Records a capture by this crate, which is not a read. The captured body notifies this link,
    /// and the link of the inner body, when it is read.
    #[cold]
    pub(super) fn captured(&self) {
        let wrapped = CAPTURED.take();
        if let Some(wrapped) = wrapped.filter(|it| !Arc::ptr_eq(&it.0, &self.0)) {
            self.0.above.get_or_init(|| wrapped);
        }
        CAPTURED.set(Some(self.clone()));
    }

    /// The link of the body that this thread has just captured, if it has one.
    #[inline]
    pub(super) fn take_captured() -> Option<Self> {
        CAPTURED.take()
    }

    /// A body ends with each body that it replaced.
    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        let is_over = self.0.flags.load(Ordering::Acquire) & ENDED != 0;
        is_over || self.above().is_some_and(Self::has_ended)
    }

    /// Waits for the end while the body has no frame: ready if it has ended, else registers the
    /// task.
    pub(super) fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        self.wake_at_end(cx.waker());
        // Checked after the waker is set, because an earlier end did not wake the task.
        if self.has_ended() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn wake_at_end(&self, waker: &Waker) {
        match &mut *self.0.reader.lock() {
            Some(reader) => reader.clone_from(waker),
            reader => *reader = Some(waker.clone()),
        }
        self.0.flags.fetch_or(WAITS, Ordering::AcqRel);
        if let Some(above) = self.above() {
            above.wake_at_end(waker);
        }
    }

    /// Ends the body: it fails from now on, and is not read any more.
    #[inline]
    pub(super) fn end(&self) {
        let flags = self.0.flags.fetch_or(ENDED, Ordering::AcqRel);
        if flags & WAITS != 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        let reader = self.0.reader.lock().take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// The right of an attempt to send its request.
///
/// When it is dropped, the request fails with CANCEL at its next poll, and the transport resets the
/// stream. A request that was read to its end stays complete.
#[derive(Debug)]
pub(crate) struct RequestGuard(Option<RequestLink>);

impl RequestGuard {
    #[inline]
    pub(super) fn of(link: RequestLink) -> Self {
        Self(Some(link))
    }

    /// The first reader of the request.
    pub(crate) fn reader(&self) -> Reader {
        self.0.as_ref().map_or(Reader::None, RequestLink::reader)
    }

    /// Releases the guard: the answer has begun, and the request goes on.
    #[inline]
    pub(crate) fn answered(mut self) -> OpenRequest {
        OpenRequest(self.0.take())
    }
}

impl Drop for RequestGuard {
    #[inline]
    fn drop(&mut self) {
        if let Some(link) = &self.0 {
            link.end();
        }
    }
}

/// The request of a call whose answer has begun.
///
/// When it is dropped, the request goes on: a caller that drops the answers of a bidi call can
/// continue to send, as without a layer (CONTRACT B5).
#[derive(Debug)]
pub(crate) struct OpenRequest(Option<RequestLink>);

impl OpenRequest {
    #[inline]
    pub(super) fn of(link: RequestLink) -> Self {
        Self(Some(link))
    }

    /// Ends the request with the call: it fails as if its guard had been dropped.
    pub(crate) fn end(self) {
        if let Some(link) = self.0 {
            link.end();
        }
    }
}
