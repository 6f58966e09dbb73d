use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::captured::Captured;
use super::live::Live;
use super::tee::Tee;
use super::waker::CAPTURING;

/// What one attempt reads: a recorded request from its start.
pub struct Replay<B: Body<Data = Bytes>> {
    source: Source<B>,
    on_first_poll: Option<OnFirstPoll>,
}

/// Nothing in it is pinned but what `B` pins itself.
impl<B: Body<Data = Bytes> + Unpin> Unpin for Replay<B> {}

type OnFirstPoll = Box<dyn FnOnce() + Send + Sync>;

enum Source<B: Body<Data = Bytes>> {
    Captured(Captured),
    Live(Live<B>),
    Teed(Reader<B>),
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
    fn new(source: Source<B>) -> Self {
        Self {
            source,
            on_first_poll: None,
        }
    }

    pub(super) fn captured(captured: Captured) -> Self {
        Self::new(Source::Captured(captured))
    }

    pub(super) fn teed(tee: Arc<Tee<B>>, reader: u64) -> Self {
        Self::new(Source::Teed(Reader { tee, reader }))
    }

    /// The body itself, with a note for whoever wants to know when it is first polled: a transport
    /// does so once a stream is open.
    #[cfg(feature = "wait-for-ready")]
    pub(crate) fn noting(body: B, note: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self {
            source: Source::Live(Live::untouched(body)),
            on_first_poll: Some(Box::new(note)),
        }
    }
}

impl<B: Body<Data = Bytes>> fmt::Debug for Replay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Captured(_) => "captured",
            Source::Live(_) => "live",
            Source::Teed(_) => "teed",
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
        if !cx.waker().will_wake(&CAPTURING)
            && let Some(note) = self.on_first_poll.take()
        {
            note();
        }
        match &mut self.source {
            Source::Captured(captured) => Poll::Ready(captured.read()),
            Source::Live(live) => live.poll_frame(cx),
            Source::Teed(Reader { tee, reader }) => tee.poll_frame(*reader, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Captured(captured) => captured.is_end_stream(),
            Source::Live(live) => live.is_end_stream(),
            Source::Teed(Reader { tee, reader }) => tee.is_end_stream(*reader),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Captured(captured) => captured.size_hint(),
            Source::Live(live) => live.size_hint(),
            Source::Teed(Reader { tee, reader }) => tee.size_hint(*reader),
        }
    }
}
