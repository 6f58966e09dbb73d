use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::here::Capturing;
use super::link::RequestLink;
use super::waker::CAPTURING;

/// A body with frames still to come, of which some were read; those go first.
pub(super) struct Live<B: Body<Data = Bytes>> {
    first: Option<Read<B>>,
    second: Option<Read<B>>,
    rest: B,
    /// It was read to its end ahead of time.
    ended: bool,
    size_hint: SizeHint,
    /// Whether there was room for what was read first.
    has_room: bool,
}

/// One frame of a body, or its failure.
pub(super) type Read<B> = Result<Frame<Bytes>, <B as Body>::Error>;

/// What was read of a body before anybody asked for it.
pub(super) struct ReadAhead<B: Body<Data = Bytes>> {
    first: Option<Read<B>>,
    second: Option<Read<B>>,
    /// The body's from before the reads.
    size_hint: SizeHint,
    /// Whether there was room for it.
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
    /// The body of which this was read.
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

    /// Whether what was read first can be kept, as far as is known.
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

    /// Whether it failed, without waiting for it; at most one frame is read ahead and kept for
    /// [`poll_frame`](Self::poll_frame).
    pub(super) fn has_failed(&mut self) -> bool
    where
        B: Unpin,
    {
        if self.first.is_none() && self.second.is_none() && !self.ended {
            let mut cx = Context::from_waker(&CAPTURING);
            let _capturing = Capturing::begin();
            let polled = Pin::new(&mut self.rest).poll_frame(&mut cx);
            // The link of this body is known already, and is not that of the next body captured
            // here.
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

    /// Puts back what nobody got.
    pub(super) fn unread(&mut self, frame: Frame<Bytes>) {
        self.first = Some(Ok(frame));
        self.size_hint = SizeHint::default();
    }

    /// How much of it was read ahead.
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
