use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::here::Capturing;
use super::link::RequestLink;
use super::waker::CAPTURING;

/// A body with frames to come. Frames that were read ahead are returned first.
pub(super) struct Live<B: Body<Data = Bytes>> {
    first: Option<Read<B>>,
    second: Option<Read<B>>,
    rest: B,
    /// The end was read ahead.
    ended: bool,
    size_hint: SizeHint,
    /// Whether there was room for the frames that were read ahead.
    has_room: bool,
}

/// One frame of a body, or its failure.
pub(super) type Read<B> = Result<Frame<Bytes>, <B as Body>::Error>;

/// Frames of a body that were read ahead of its reader.
pub(super) struct ReadAhead<B: Body<Data = Bytes>> {
    first: Option<Read<B>>,
    second: Option<Read<B>>,
    /// The body's hint from before the reads.
    size_hint: SizeHint,
    /// Whether there was room for the frames.
    has_room: bool,
}

impl<B: Body<Data = Bytes>> ReadAhead<B> {
    pub(super) fn nothing(size_hint: SizeHint) -> Self {
        Self {
            first: None,
            second: None,
            size_hint,
            has_room: true,
        }
    }

    pub(super) fn new(first: Read<B>, second: Option<Read<B>>, size_hint: SizeHint) -> Self {
        Self {
            first: Some(first),
            second,
            size_hint,
            has_room: true,
        }
    }

    pub(super) fn without_room(self) -> Self {
        Self {
            has_room: false,
            ..self
        }
    }
}

impl<B: Body<Data = Bytes>> Live<B> {
    /// The body with the frames that were read ahead of it.
    pub(super) fn new(read: ReadAhead<B>, rest: B) -> Self {
        let ReadAhead {
            first,
            second,
            size_hint,
            has_room,
        } = read;
        Self {
            first,
            second,
            rest,
            ended: false,
            size_hint,
            has_room,
        }
    }

    /// Whether the frames that were read ahead fit, as far as is known.
    pub(super) fn has_room(&self) -> bool {
        self.has_room
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Read<B>>>
    where
        B: Unpin,
    {
        match self.first.take().or_else(|| self.second.take()) {
            Some(read) => Poll::Ready(Some(read)),
            None if self.ended => Poll::Ready(None),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    /// Whether it has failed, without waiting; reads at most one frame ahead, for
    /// [`poll_frame`](Self::poll_frame).
    pub(super) fn has_failed(&mut self) -> bool
    where
        B: Unpin,
    {
        if self.first.is_none() && self.second.is_none() && !self.ended {
            let mut cx = Context::from_waker(&CAPTURING);
            let _capturing = Capturing::begin();
            let polled = Pin::new(&mut self.rest).poll_frame(&mut cx);
            // This body's link is known already, and must not be taken for the next captured
            // body's.
            drop(RequestLink::take_captured());
            match polled {
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(read) => {
                    self.first = read;
                    self.size_hint = SizeHint::default();
                }
                Poll::Pending => {}
            }
        }
        matches!(
            (&self.first, &self.second),
            (Some(Err(_)), _) | (None, Some(Err(_)))
        )
    }

    /// Puts back a frame that no reader got.
    pub(super) fn unread(&mut self, frame: Frame<Bytes>) {
        self.first = Some(Ok(frame));
        self.size_hint = SizeHint::default();
    }

    /// The size of the frames that were read ahead.
    pub(super) fn read_ahead(&self) -> usize {
        let frames = [&self.first, &self.second];
        let frames = frames.into_iter().flatten().flatten();
        frames.filter_map(Frame::data_ref).map(Bytes::len).sum()
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.second.is_none() && (self.ended || self.rest.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match (&self.first, &self.second) {
            (Some(_), _) => self.size_hint,
            (None, Some(_)) => SizeHint::default(),
            (None, None) => self.rest.size_hint(),
        }
    }
}
