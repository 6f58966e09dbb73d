use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use crate::kernel::sync::{AtomicUsize, Mutex, Ordering};

use super::here::is_in_call;

thread_local! {
    /// The link of the body that a layer of ours captures now on this thread.
    static CAPTURED: Cell<Option<RequestLink>> = const { Cell::new(None) };
}

/// A reader has polled the body.
const READ: usize = 1;
/// It was the task of a transport, or another one outside the call.
const READ_ELSEWHERE: usize = 8;
/// The body fails from now on.
const ENDED: usize = 2;
/// A task waits for the next frame, and is woken when the body ends.
const WAITS: usize = 4;

/// Who has begun to read the request of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    None,
    /// Something between the call and its transport, within the call's own polls.
    Layer,
    /// A transport, in a task of its own. A layer that reads in a task of its own looks the same.
    Transport,
}

/// Ties one request body to the attempt that it is sent for.
///
/// The body notes that it is read. A body that nothing read proves that no connect error hides a
/// request that ran (CONTRACT I4c); a body that the transport read proves that a GOAWAY refused its
/// stream (I4b). The attempt ends the body, so that the transport never completes a request whose
/// call is over (R13).
///
/// Both facts are in one word: a body is either read before it ends, and the attempt knows, or it
/// is not read at all.
#[derive(Clone, Debug)]
pub(super) struct RequestLink(Arc<State>);

#[derive(Debug)]
struct State {
    flags: AtomicUsize,
    /// The task that waits for the next frame.
    reader: Mutex<Option<Waker>>,
    /// That of the body which this one replaced or wraps, of a layer further out: it is read with
    /// this one, and ends this one.
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

    /// Whether no attempt has it, or none that did anything.
    #[inline]
    pub(super) fn is_new(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.0.flags.load(Ordering::Acquire) == 0
    }

    /// From now on the body ends with the link `above`, too; `false` if it has another above it.
    pub(super) fn end_with(&self, above: Self) -> bool {
        self.0.above.set(above).is_ok()
    }

    /// Who has read the body.
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

    /// A reader polls the body; whether it may have the next frame.
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

    /// A layer of ours has captured the body, which is no reading: what it sends instead tells this
    /// link when it is read, and the link of the body in it.
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

    /// The body has no frame yet: ready if it has ended, else the task is woken when it ends.
    pub(super) fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        self.wake_at_end(cx.waker());
        // After the waker is there: an end before that woke no task.
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

    /// The body fails from now on, and is not read any more.
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

    /// Who has begun to read the request.
    pub(crate) fn reader(&self) -> Reader {
        self.0.as_ref().map_or(Reader::None, RequestLink::reader)
    }

    /// The answer has begun, and the request goes on.
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
/// When it is dropped, the request goes on: a caller that drops the answers of a bidi call goes on
/// sending, as without a layer (CONTRACT B5).
#[derive(Debug)]
pub(crate) struct OpenRequest(Option<RequestLink>);

impl OpenRequest {
    #[inline]
    pub(super) fn of(link: RequestLink) -> Self {
        Self(Some(link))
    }

    /// The call is over: the request fails as it does when its guard is dropped.
    pub(crate) fn end(self) {
        if let Some(link) = self.0 {
            link.end();
        }
    }
}
