use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;

use super::buffer::Loan;
use super::buffer::{NotReplayable, ReplayBuffer, Share};
use super::capture::{Capture, capture};
use super::captured::Captured;
use super::link::{OpenRequest, Reader, RequestGuard, RequestLink};
use super::live::Live;
use super::live::ReadAhead;
use super::notice::LossNotice;
use super::replay::Linked;
use super::tee::Tee;
use super::{Replay, RequestBody};

/// A request that can be sent more than once, within its limits.
///
/// Dropping it ends the attempt under way: its request fails with CANCEL and is never completed.
/// [`answered`](Self::answered) lets that attempt go on, and frees what was kept.
pub(crate) struct Recording<B: Body<Data = Bytes> + Unpin> {
    kept: Storage<B>,
    /// The link of the last attempt, or of the first one before it begins; `None` after the answer.
    link: Option<RequestLink>,
}

enum Storage<B: Body<Data = Bytes> + Unpin> {
    Whole(
        Captured,
        /// `None` if the size is not counted, or the layer itself counts it. Boxed to keep the type
        /// small.
        #[expect(dead_code, reason = "given back on drop")]
        Option<Box<Share>>,
    ),
    Live(Handle<B>),
}

struct Handle<B: Body<Data = Bytes> + Unpin>(Arc<Tee<B>>);

impl<B: RequestBody> Recording<B> {
    #[inline]
    fn of(kept: Storage<B>, above: Option<RequestLink>) -> Self {
        Self {
            kept,
            link: Some(RequestLink::new(above)),
        }
    }

    /// Like `new`, but in place: `body` becomes the first attempt's body. A complete request
    /// reserves buffer space through the returned [`Loan`].
    #[inline]
    pub(crate) fn keep<'a>(
        body: &mut B,
        limit: usize,
        buffer: &'a ReplayBuffer,
    ) -> (Self, Loan<'a>) {
        let mut loan = Loan::new(buffer, limit);
        let (capture, above) = capture(body, &mut loan);
        let kept = match capture {
            Capture::Whole(captured) => Storage::Whole(captured, None),
            Capture::Begun(read) => Storage::begun(read, Share::new(buffer.clone(), limit), body),
        };
        let mut recording = Self::of(kept, above);
        *body = recording.attempt();
        (recording, loan)
    }

    /// Like [`keep`](Self::keep), but only for a complete request that fits. Any other body reads
    /// as before, though frames of it may have been read ahead.
    #[inline]
    pub(crate) fn keep_whole<'a>(
        body: &mut B,
        limit: usize,
        buffer: &'a ReplayBuffer,
    ) -> Option<(Self, Loan<'a>)> {
        let mut loan = Loan::new(buffer, limit);
        match capture(body, &mut loan) {
            (Capture::Whole(captured), above) => {
                let mut recording = Self::of(Storage::Whole(captured, None), above);
                *body = recording.attempt();
                Some((recording, loan))
            }
            (Capture::Begun(read), above) => {
                let rest = take(body);
                let link = above.map(linked);
                *body = B::from_replay(Replay::begun(Live::new(read, rest), link));
                None
            }
        }
    }

    /// Keeps a request until an attempt reads it. A complete one can be read any number of times; a
    /// live one is not kept. `body` becomes the first attempt's body.
    #[inline]
    pub(crate) fn until_read(body: &mut B) -> Self {
        let mut share = Share::uncounted(usize::MAX);
        let (capture, above) = capture(body, &mut share);
        let kept = match capture {
            Capture::Whole(captured) => Storage::Whole(captured, None),
            Capture::Begun(read) => Storage::begun(read, Share::uncounted(0), body),
        };
        let mut recording = Self::of(kept, above);
        *body = recording.attempt();
        recording
    }

    /// The size that it keeps without an attempt.
    pub(crate) fn bytes(&self) -> usize {
        match &self.kept {
            Storage::Whole(captured, _) => captured.bytes(),
            Storage::Live(Handle(tee)) => tee.read_ahead(),
        }
    }

    /// The size that it reserves in the buffer itself, besides a loan.
    pub(crate) fn kept(&self) -> usize {
        match &self.kept {
            Storage::Whole(..) => 0,
            Storage::Live(Handle(tee)) => tee.kept(),
        }
    }

    /// The request of the next attempt, from its start. The attempt before can't read more of a
    /// live request.
    ///
    /// Once [`lost`](Self::lost) returns a reason, it is not the whole request any more.
    #[inline]
    pub(crate) fn attempt(&mut self) -> B {
        let last = self.link.as_ref();
        let link = match last {
            Some(link) if link.is_new() => link.clone(),
            _ => {
                let above = last.and_then(RequestLink::above).cloned();
                self.link.insert(RequestLink::new(above)).clone()
            }
        };
        B::from_replay(match &self.kept {
            Storage::Whole(captured, _) => Replay::captured(captured.clone(), linked(link)),
            Storage::Live(handle) => handle.read(linked(link)),
        })
    }

    /// Ends the failed attempt: its request is read no further, and a complete one is kept without
    /// the encoder's buffer.
    pub(crate) fn end_attempt(&mut self) {
        if let Some(link) = &self.link {
            link.end();
        }
        match &mut self.kept {
            Storage::Whole(captured, _) => captured.detach(),
            Storage::Live(Handle(tee)) => tee.end(),
        }
    }

    /// Who had begun with the request of the attempt that ended last. A layer of this crate that
    /// keeps the request in turn is no reader, but what it sends is.
    pub(crate) fn reader(&self) -> Reader {
        self.link.as_ref().map_or(Reader::None, RequestLink::reader)
    }

    /// Ends this attempt and later ones with the call, even after an answer; `None` if an outer
    /// layer does that.
    pub(crate) fn end_with_call(&mut self) -> Option<RequestGuard> {
        let call = RequestLink::new(None);
        let is_outermost = self.link.as_ref()?.end_with(call.clone());
        is_outermost.then(|| RequestGuard::of(call))
    }

    /// Takes the guard of the current attempt, which ends its request; no attempt follows.
    pub(crate) fn take_guard(&mut self) -> Option<RequestGuard> {
        self.link.take().map(RequestGuard::of)
    }

    /// The current attempt is answered: its request goes on, and no attempt follows.
    #[inline]
    pub(crate) fn answered(&mut self) -> Option<OpenRequest> {
        self.link.take().map(OpenRequest::of)
    }

    /// Copies a complete request out of the encoder's buffer, before a wait.
    pub(crate) fn detach(&mut self) {
        if let Storage::Whole(captured, _) = &mut self.kept {
            captured.detach();
        }
    }

    /// Checks, between two attempts, whether a live request has failed since it was last read;
    /// [`lost`](Self::lost) returns the result. Reads at most one frame ahead.
    pub(crate) fn look_ahead(&mut self) {
        if let Storage::Live(Handle(tee)) = &self.kept {
            tee.look_ahead();
        }
    }

    /// Whether the whole request is kept, so that it can't be lost any more.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.kept, Storage::Whole(..))
    }

    /// The notice that the request is lost; `None` if it can't be lost any more.
    pub(crate) fn loss(&self) -> Option<LossNotice> {
        match &self.kept {
            Storage::Whole(..) => None,
            Storage::Live(Handle(tee)) => Some(tee.loss()),
        }
    }

    /// Why the request can't be sent again; `None` if it can.
    #[must_use]
    pub(crate) fn lost(&self) -> Option<NotReplayable> {
        match &self.kept {
            Storage::Whole(..) => None,
            Storage::Live(Handle(tee)) => tee.lost(),
        }
    }
}

/// For the tests of this module.
#[cfg(test)]
impl<B: RequestBody> Recording<B> {
    /// Records a request of at most `limit` bytes, as far as the buffer has room for it.
    ///
    /// A larger one, or one for which the buffer is full, is sent all the same, once
    /// (CONTRACT R8); what provably was not read by any attempt can still be read by the next.
    pub(crate) fn new(mut body: B, limit: usize, buffer: &ReplayBuffer) -> Self {
        let mut share = Share::new(buffer.clone(), limit);
        let (capture, above) = capture(&mut body, &mut share);
        let kept = match capture {
            Capture::Whole(captured) => Storage::Whole(captured, Some(Box::new(share))),
            Capture::Begun(read) => Storage::live(Live::new(read, body), share),
        };
        Self::of(kept, above)
    }

    pub(crate) fn was_read(&self) -> bool {
        self.reader() != Reader::None
    }

    /// No attempt follows: the one under way goes on, and what was kept is freed (CONTRACT R7).
    pub(crate) fn commit(mut self) {
        drop(self.answered());
    }
}

impl<B: RequestBody> Storage<B> {
    fn live(live: Live<B>, share: Share) -> Self {
        Self::Live(Handle(Arc::new(Tee::new(live, share, B::cancelled))))
    }

    #[cold]
    fn begun(read: ReadAhead<B>, share: Share, body: &mut B) -> Self {
        Self::live(Live::new(read, take(body)), share)
    }
}

impl<B: RequestBody> Handle<B> {
    #[cold]
    fn read(&self, link: Linked<B>) -> Replay<B> {
        Replay::teed(Arc::clone(&self.0), self.0.begin(), link)
    }
}

/// Ends a body with the returned guard.
pub(crate) fn guard<B: RequestBody>(body: &mut B) -> RequestGuard {
    let link = RequestLink::new(None);
    let guard = RequestGuard::of(link.clone());
    *body = B::from_replay(Replay::body(take(body), linked(link)));
    guard
}

#[inline]
fn linked<B: RequestBody>(link: RequestLink) -> Linked<B> {
    let cancelled = B::cancelled;
    Linked { link, cancelled }
}

/// Takes the body and leaves an empty one.
fn take<B: RequestBody>(body: &mut B) -> B {
    std::mem::replace(body, B::from_replay(Replay::nothing()))
}

/// Dropped before its attempt is answered, a recording ends the call: the caller's stream is read
/// no further.
impl<B: Body<Data = Bytes> + Unpin> Drop for Recording<B> {
    #[inline]
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            link.end();
            if let Storage::Live(Handle(tee)) = &self.kept {
                tee.end();
            }
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Drop for Handle<B> {
    fn drop(&mut self) {
        self.0.commit();
    }
}

impl<B: Body<Data = Bytes> + Unpin> fmt::Debug for Recording<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = match &self.kept {
            Storage::Whole(..) => "whole",
            Storage::Live(_) => "live",
        };
        f.debug_tuple("Recording").field(&kept).finish()
    }
}
