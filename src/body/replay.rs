use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::waker::CAPTURING;

/// A request that was complete when it was captured: at most one data frame.
///
/// Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Captured {
    frame: Option<Bytes>,
    was_at_end: bool,
    size_hint: SizeHint,
}

impl Captured {
    pub(super) fn new(frame: Option<Bytes>, was_at_end: bool, size_hint: SizeHint) -> Self {
        Self {
            frame,
            was_at_end,
            size_hint,
        }
    }

    /// How many bytes the capture holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frame.as_ref().map_or(0, Bytes::len)
    }

    /// Whether there is no byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A body that reads the captured request from its start.
    #[must_use]
    pub fn replay<B: Body<Data = Bytes>>(&self) -> Replay<B> {
        Replay::new(Source::Captured {
            frame: self.frame.clone(),
            at_end: self.was_at_end,
            size_hint: self.size_hint,
        })
    }
}

/// A body that reads a captured request, or a live one whose first frames were already read.
pub struct Replay<B: Body<Data = Bytes>> {
    source: Source<B>,
    on_first_poll: Option<OnFirstPoll>,
}

/// Nothing in it is pinned but what `B` pins itself.
impl<B: Body<Data = Bytes> + Unpin> Unpin for Replay<B> {}

type OnFirstPoll = Box<dyn FnOnce() + Send + Sync>;
type Read<B> = Result<Frame<Bytes>, <B as Body>::Error>;

enum Source<B: Body<Data = Bytes>> {
    Captured {
        frame: Option<Bytes>,
        at_end: bool,
        size_hint: SizeHint,
    },
    Live {
        first: Option<Read<B>>,
        second: Option<Read<B>>,
        rest: B,
        size_hint: SizeHint,
    },
}

impl<B: Body<Data = Bytes>> Replay<B> {
    fn new(source: Source<B>) -> Self {
        Self {
            source,
            on_first_poll: None,
        }
    }

    /// The body itself, with a note for whoever wants to know when it is first polled: a transport
    /// does so once a stream is open.
    #[cfg(feature = "wait-for-ready")]
    pub(crate) fn noting(body: B, note: impl FnOnce() + Send + Sync + 'static) -> Self {
        let size_hint = body.size_hint();
        Self {
            source: Source::Live {
                first: None,
                second: None,
                rest: body,
                size_hint,
            },
            on_first_poll: Some(Box::new(note)),
        }
    }

    /// The frames that were read, then `rest`; `size_hint` is the body's from before.
    pub(super) fn live(
        first: Read<B>,
        second: Option<Read<B>>,
        rest: B,
        size_hint: SizeHint,
    ) -> Self {
        Self::new(Source::Live {
            first: Some(first),
            second,
            rest,
            size_hint,
        })
    }
}

impl<B: Body<Data = Bytes>> fmt::Debug for Replay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Captured { .. } => "captured",
            Source::Live { .. } => "live",
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
            Source::Captured { frame, at_end, .. } => {
                *at_end = true;
                Poll::Ready(frame.take().map(|data| Ok(Frame::data(data))))
            }
            Source::Live {
                first,
                second,
                rest,
                ..
            } => match first.take().or_else(|| second.take()) {
                Some(read) => Poll::Ready(Some(read)),
                None => Pin::new(rest).poll_frame(cx),
            },
        }
    }

    /// True for a captured request once its frame was read, which saves an empty frame on the
    /// wire, but not before unless the original said so: hyper would send the head alone.
    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Captured { at_end, .. } => *at_end,
            Source::Live {
                first,
                second,
                rest,
                ..
            } => first.is_none() && second.is_none() && rest.is_end_stream(),
        }
    }

    /// The original's: an exact hint of our own would make hyper send `content-length`.
    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Captured {
                frame: Some(_),
                size_hint,
                ..
            }
            | Source::Live {
                first: Some(_),
                size_hint,
                ..
            } => *size_hint,
            Source::Captured { at_end: true, .. } => SizeHint::with_exact(0),
            Source::Captured { .. }
            | Source::Live {
                second: Some(_), ..
            } => SizeHint::default(),
            Source::Live { rest, .. } => rest.size_hint(),
        }
    }
}
