use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;

#[cfg(feature = "retry")]
use super::buffer::Loan;
use super::buffer::{Lost, ReplayBuffer, Share};
use super::capture::{Capture, capture};
use super::captured::Captured;
use super::live::Live;
#[cfg(any(feature = "retry", feature = "wait-for-ready"))]
use super::live::ReadAhead;
use super::tee::Tee;
use super::{Replay, RequestBody};

/// A request that can be sent more than once, as long as it fits.
///
/// Dropping it commits the call: the attempt under way goes on, and what was kept is freed.
///
/// ```
/// use grpc_resilience::body::{Lost, Recording, ReplayBuffer};
/// use http_body_util::{BodyExt as _, Full};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), std::convert::Infallible> {
/// let body = Full::<bytes::Bytes>::from("once").boxed_unsync();
/// let mut recording = Recording::new(body, 1_024, &ReplayBuffer::new(8_192));
/// for _ in 0..3 {
///     assert_eq!(recording.attempt().collect().await?.to_bytes(), "once");
/// }
/// assert_eq!(recording.lost(), None);
/// # Ok(())
/// # }
/// ```
pub struct Recording<B: Body<Data = Bytes> + Unpin>(Kept<B>);

enum Kept<B: Body<Data = Bytes> + Unpin> {
    Whole(
        Captured,
        /// `None` where nobody counts, or the layer itself does; so it is by itself in memory.
        #[expect(dead_code, reason = "given back on drop")]
        Option<Box<Share>>,
    ),
    Live(Handle<B>),
}

struct Handle<B: Body<Data = Bytes> + Unpin>(Arc<Tee<B>>);

impl<B: RequestBody> Recording<B> {
    /// Records a request of at most `limit` bytes, as far as the buffer has room for it.
    ///
    /// A larger one, or one for which the buffer is full, is sent all the same, once
    /// (CONTRACT R8); what provably was not read by any attempt can still be read by the next.
    pub fn new(mut body: B, limit: usize, buffer: &ReplayBuffer) -> Self {
        let mut share = Share::new(buffer.clone(), limit);
        match capture(&mut body, &mut share) {
            Capture::Whole(captured) => Self(Kept::Whole(captured, Some(Box::new(share)))),
            Capture::Begun(read) => Self::live(Live::new(read, body), share),
        }
    }

    /// The same, where the body is; the request of the first attempt takes its place. A request that is
    /// complete holds nothing of the buffer itself, but by the loan.
    #[cfg(feature = "retry")]
    #[inline]
    pub(crate) fn keep<'a>(
        body: &mut B,
        limit: usize,
        buffer: &'a ReplayBuffer,
    ) -> (Self, Loan<'a>) {
        let mut loan = Loan::new(buffer, limit);
        let recording = match capture(body, &mut loan) {
            Capture::Whole(captured) => Self::whole(captured, body),
            Capture::Begun(read) => Self::begun(read, Share::new(buffer.clone(), limit), body),
        };
        (recording, loan)
    }

    /// The same of a request that is complete and fits. Any other reads as it did, though some of it may have been
    /// read ahead.
    #[cfg(feature = "stack")]
    #[inline]
    pub(crate) fn keep_whole<'a>(
        body: &mut B,
        limit: usize,
        buffer: &'a ReplayBuffer,
    ) -> Option<(Self, Loan<'a>)> {
        let mut loan = Loan::new(buffer, limit);
        match capture(body, &mut loan) {
            Capture::Whole(captured) => Some((Self::whole(captured, body), loan)),
            Capture::Begun(read) => {
                let rest = Self::take(body);
                *body = B::from_replay(Replay::begun(Live::new(read, rest)));
                None
            }
        }
    }

    /// Keeps a request until an attempt reads it: one that is complete however often it is read,
    /// of a live one nothing. The request of the first attempt takes its place.
    #[cfg(feature = "wait-for-ready")]
    #[inline]
    pub(crate) fn until_read(body: &mut B) -> Self {
        let mut share = Share::uncounted(usize::MAX);
        match capture(body, &mut share) {
            Capture::Whole(captured) => Self::whole(captured, body),
            Capture::Begun(read) => Self::begun(read, Share::uncounted(0), body),
        }
    }

    #[cfg(any(feature = "retry", feature = "wait-for-ready"))]
    #[inline]
    fn whole(captured: Captured, body: &mut B) -> Self {
        *body = B::from_replay(Replay::captured(captured.clone()));
        Self(Kept::Whole(captured, None))
    }

    #[cfg(any(feature = "retry", feature = "wait-for-ready"))]
    fn take(body: &mut B) -> B {
        let nothing = B::from_replay(Replay::captured(Captured::nothing()));
        std::mem::replace(body, nothing)
    }

    #[cfg(any(feature = "retry", feature = "wait-for-ready"))]
    #[cold]
    fn begun(read: ReadAhead<B>, share: Share, body: &mut B) -> Self {
        let rest = Self::take(body);
        let mut recording = Self::live(Live::new(read, rest), share);
        *body = recording.attempt();
        recording
    }

    /// What it holds without an attempt.
    #[cfg(feature = "wait-for-ready")]
    pub(crate) fn bytes(&self) -> usize {
        match &self.0 {
            Kept::Whole(captured, _) => captured.bytes(),
            Kept::Live(Handle(tee)) => tee.read_ahead(),
        }
    }

    fn live(live: Live<B>, share: Share) -> Self {
        let tee = Tee::new(live, share, B::cancelled);
        Self(Kept::Live(Handle(Arc::new(tee))))
    }

    /// The request of the next attempt, from its start. The attempt before can read no more of a
    /// live request.
    ///
    /// Once [`lost`](Self::lost) says why not, it is not the whole request any more.
    pub fn attempt(&mut self) -> B {
        B::from_replay(match &self.0 {
            Kept::Whole(captured, _) => Replay::captured(captured.clone()),
            Kept::Live(Handle(tee)) => Replay::teed(Arc::clone(tee), tee.begin()),
        })
    }

    /// The attempt under way has failed: it reads no more of a live request, and a whole one is kept
    /// without the memory around it.
    pub fn end_attempt(&mut self) {
        match &mut self.0 {
            Kept::Whole(captured, _) => captured.detach(),
            Kept::Live(Handle(tee)) => tee.end(),
        }
    }

    /// The attempt under way, or the one to come, is not sent soon: a whole request is kept without the
    /// memory around it.
    #[cfg(any(feature = "retry", feature = "wait-for-ready"))]
    pub(crate) fn detach(&mut self) {
        if let Kept::Whole(captured, _) = &mut self.0 {
            captured.detach();
        }
    }

    /// Looks, between two attempts, whether a live request failed since the last one read of it;
    /// [`lost`](Self::lost) says so. No more than one frame is read ahead.
    pub fn look_ahead(&mut self) {
        if let Kept::Live(Handle(tee)) = &self.0 {
            tee.look_ahead();
        }
    }

    /// Whether all of it is kept, so that nothing can get lost any more.
    #[cfg(feature = "retry")]
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.0, Kept::Whole(..))
    }

    /// Why the request can't be sent again; `None` if it can.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        match &self.0 {
            Kept::Whole(..) => None,
            Kept::Live(Handle(tee)) => tee.lost(),
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
        let kept = match &self.0 {
            Kept::Whole(..) => "whole",
            Kept::Live(_) => "live",
        };
        f.debug_tuple("Recording").field(&kept).finish()
    }
}
