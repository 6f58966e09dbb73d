use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::captured::Captured;
#[cfg(feature = "attempt-timeout")]
use super::cut::Cut;
#[cfg(feature = "stack")]
use super::live::Live;
use super::tee::Tee;
#[cfg(feature = "wait-for-ready")]
use super::waker::CAPTURING;

/// What one attempt reads: a recorded request from its start.
pub struct Replay<B: Body<Data = Bytes>>(Source<B>);

/// Nothing in it is pinned but what `B` pins itself.
impl<B: Body<Data = Bytes> + Unpin> Unpin for Replay<B> {}

#[cfg(feature = "wait-for-ready")]
type OnFirstPoll = Box<dyn FnOnce() + Send + Sync>;

enum Source<B: Body<Data = Bytes>> {
    Captured(Captured),
    #[cfg(feature = "wait-for-ready")]
    Noted {
        body: B,
        note: Option<OnFirstPoll>,
    },
    #[cfg(feature = "attempt-timeout")]
    Cuttable {
        body: B,
        cut: Cut,
        cancelled: fn() -> Option<B::Error>,
    },
    Teed(Reader<B>),
    /// A request of which some was read to look at it. By itself in memory: it is larger than all else, and
    /// few requests are it.
    #[cfg(feature = "stack")]
    Begun(Box<Live<B>>),
}

/// The attempt that reads a live request.
struct Reader<B: Body<Data = Bytes>> {
    tee: Arc<Tee<B>>,
    reader: u64,
}

impl<B: Body<Data = Bytes>> Drop for Reader<B> {
    fn drop(&mut self) {
        self.tee.release(self.reader);
    }
}

impl<B: Body<Data = Bytes>> Replay<B> {
    pub(super) fn captured(captured: Captured) -> Self {
        Self(Source::Captured(captured))
    }

    pub(super) fn teed(tee: Arc<Tee<B>>, reader: u64) -> Self {
        Self(Source::Teed(Reader { tee, reader }))
    }

    /// The body itself, what was read of it first.
    #[cfg(feature = "stack")]
    pub(super) fn begun(live: Live<B>) -> Self {
        Self(Source::Begun(Box::new(live)))
    }

    /// The body itself, with a note for whoever wants to know when it is first polled: a transport
    /// does so once a stream is open.
    #[cfg(feature = "wait-for-ready")]
    pub(crate) fn noting(body: B, note: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Source::Noted {
            body,
            note: Some(Box::new(note)),
        })
    }

    /// The body itself until it is cut; `cancelled` makes the error that it then has.
    #[cfg(feature = "attempt-timeout")]
    pub(crate) fn until_cut(body: B, cut: Cut, cancelled: fn() -> Option<B::Error>) -> Self {
        Self(Source::Cuttable {
            body,
            cut,
            cancelled,
        })
    }
}

impl<B: Body<Data = Bytes>> fmt::Debug for Replay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.0 {
            Source::Captured(_) => "captured",
            #[cfg(feature = "wait-for-ready")]
            Source::Noted { .. } => "noted",
            #[cfg(feature = "attempt-timeout")]
            Source::Cuttable { .. } => "cuttable",
            Source::Teed(_) => "teed",
            #[cfg(feature = "stack")]
            Source::Begun(_) => "begun",
        };
        f.debug_tuple("Replay").field(&source).finish()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Replay<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.0 {
            Source::Captured(captured) => Poll::Ready(captured.read()),
            #[cfg(feature = "wait-for-ready")]
            Source::Noted { body, note } => {
                if !cx.waker().will_wake(&CAPTURING)
                    && let Some(note) = note.take()
                {
                    note();
                }
                Pin::new(body).poll_frame(cx)
            }
            #[cfg(feature = "attempt-timeout")]
            Source::Cuttable {
                body,
                cut,
                cancelled,
            } => match cut.poll(cx) {
                // Never an end, which the server would take for a complete request.
                Poll::Ready(()) => {
                    cancelled().map_or(Poll::Pending, |it| Poll::Ready(Some(Err(it))))
                }
                Poll::Pending => Pin::new(body).poll_frame(cx),
            },
            Source::Teed(Reader { tee, reader }) => tee.poll_frame(*reader, cx),
            #[cfg(feature = "stack")]
            Source::Begun(live) => live.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Captured(captured) => captured.is_end_stream(),
            #[cfg(feature = "wait-for-ready")]
            Source::Noted { body, .. } => body.is_end_stream(),
            #[cfg(feature = "attempt-timeout")]
            Source::Cuttable { body, .. } => body.is_end_stream(),
            Source::Teed(Reader { tee, reader }) => tee.is_end_stream(*reader),
            #[cfg(feature = "stack")]
            Source::Begun(live) => live.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Captured(captured) => captured.size_hint(),
            #[cfg(feature = "wait-for-ready")]
            Source::Noted { body, .. } => body.size_hint(),
            #[cfg(feature = "attempt-timeout")]
            Source::Cuttable { body, .. } => body.size_hint(),
            Source::Teed(Reader { tee, reader }) => tee.size_hint(*reader),
            #[cfg(feature = "stack")]
            Source::Begun(live) => live.size_hint(),
        }
    }
}
