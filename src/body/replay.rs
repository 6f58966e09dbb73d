use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::captured::Captured;
use super::here::is_capturing;
use super::link::RequestLink;
use super::live::Live;
use super::live::Read;
use super::tee::Tee;

/// The request body of one attempt: a recorded request from its start.
pub struct Replay<B: Body<Data = Bytes>> {
    source: Source<B>,
    /// `None` if no attempt tracks or ends the body.
    link: Option<Linked<B>>,
}

/// It pins nothing; `B` pins its own parts.
impl<B: Body<Data = Bytes> + Unpin> Unpin for Replay<B> {}

type OnFirstPoll = Box<dyn FnOnce() + Send + Sync>;

enum Source<B: Body<Data = Bytes>> {
    Captured(Captured),
    Noted {
        body: B,
        note: Option<OnFirstPoll>,
    },
    Body(B),
    Teed(Reader<B>),
    /// A request with frames that were read ahead. Boxed, because it is large and rare.
    Begun(Box<Live<B>>),
}

/// The link of a body to its attempt, and the error with which the body ends.
pub(super) struct Linked<B: Body> {
    pub(super) link: RequestLink,
    pub(super) cancelled: fn() -> Option<B::Error>,
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
        Self { source, link: None }
    }

    /// A request without a body.
    pub(super) fn nothing() -> Self {
        Self::new(Source::Captured(Captured::nothing()))
    }

    /// The body itself, with a callback for its first poll: a transport polls it once a stream is
    /// open.
    pub(crate) fn noting(body: B, note: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self::new(Source::Noted {
            body,
            note: Some(Box::new(note)),
        })
    }
}

impl<B: Body<Data = Bytes>> Replay<B> {
    /// The body itself behind its frames that were read ahead; `link` is notified of a read.
    pub(super) fn begun(live: Live<B>, link: Option<Linked<B>>) -> Self {
        let source = Source::Begun(Box::new(live));
        Self { source, link }
    }

    pub(super) fn body(body: B, link: Linked<B>) -> Self {
        Self::linked(Source::Body(body), link)
    }

    /// A complete request for one attempt.
    #[inline]
    pub(super) fn captured(captured: Captured, link: Linked<B>) -> Self {
        Self::linked(Source::Captured(captured), link)
    }

    /// A live request for one attempt.
    pub(super) fn teed(tee: Arc<Tee<B>>, reader: u64, link: Linked<B>) -> Self {
        Self::linked(Source::Teed(Reader { tee, reader }), link)
    }

    /// A body that notifies the link of a read, and ends with it.
    #[inline]
    fn linked(source: Source<B>, link: Linked<B>) -> Self {
        let link = Some(link);
        Self { source, link }
    }
}

impl<B: Body<Data = Bytes>> fmt::Debug for Replay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Captured(_) => "captured",
            Source::Noted { .. } => "noted",
            Source::Body(_) => "body",
            Source::Teed(_) => "teed",
            Source::Begun(_) => "begun",
        };
        f.debug_tuple("Replay").field(&source).finish()
    }
}

impl<B: Body<Data = Bytes>> Linked<B> {
    /// An error rather than an end: the server would take an end for a complete request.
    #[cold]
    fn cut_off(&self) -> Poll<Option<Read<B>>> {
        (self.cancelled)().map_or(Poll::Pending, |error| Poll::Ready(Some(Err(error))))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Linked<B> {
    /// A layer of this crate captures the request, to send it again itself.
    #[cold]
    fn capture(&self, source: &mut Source<B>, cx: &mut Context<'_>) -> Poll<Option<Read<B>>> {
        if self.link.has_ended() {
            return self.cut_off();
        }
        // The source may wrap a body with its own link.
        drop(RequestLink::take_captured());
        let polled = source.poll_frame(cx);
        self.link.captured();
        polled
    }
}

impl<B: Body<Data = Bytes> + Unpin> Source<B> {
    #[inline]
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Read<B>>> {
        match self {
            Self::Captured(captured) => Poll::Ready(captured.read()),
            Self::Noted { body, note } => {
                if !is_capturing(cx)
                    && let Some(note) = note.take()
                {
                    note();
                }
                Pin::new(body).poll_frame(cx)
            }
            Self::Body(body) => Pin::new(body).poll_frame(cx),
            Self::Teed(Reader { tee, reader }) => tee.poll_frame(*reader, cx),
            Self::Begun(live) => live.poll_frame(cx),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Replay<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Self { source, link } = &mut *self;
        let Some(linked) = link else {
            return source.poll_frame(cx);
        };
        if is_capturing(cx) {
            return linked.capture(source, cx);
        }
        if !linked.link.begin_read() {
            return linked.cut_off();
        }
        match source.poll_frame(cx) {
            Poll::Pending if linked.link.poll_end(cx).is_ready() => linked.cut_off(),
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Captured(captured) => captured.is_end_stream(),
            Source::Noted { body, .. } | Source::Body(body) => body.is_end_stream(),
            Source::Teed(Reader { tee, reader }) => tee.is_end_stream(*reader),
            Source::Begun(live) => live.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Captured(captured) => captured.size_hint(),
            Source::Noted { body, .. } | Source::Body(body) => body.size_hint(),
            Source::Teed(Reader { tee, reader }) => tee.size_hint(*reader),
            Source::Begun(live) => live.size_hint(),
        }
    }
}
