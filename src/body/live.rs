use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body with frames still to come, of which some were read; those go first.
pub(super) struct Live<B: Body<Data = Bytes>> {
    first: Option<Read<B>>,
    second: Option<Read<B>>,
    rest: B,
    size_hint: SizeHint,
}

/// One frame of a body, or its failure.
pub(super) type Read<B> = Result<Frame<Bytes>, <B as Body>::Error>;

impl<B: Body<Data = Bytes>> Live<B> {
    pub(super) fn untouched(rest: B) -> Self {
        let size_hint = rest.size_hint();
        Self {
            first: None,
            second: None,
            rest,
            size_hint,
        }
    }

    /// `size_hint` is the body's from before the reads.
    pub(super) fn begun(
        first: Read<B>,
        second: Option<Read<B>>,
        rest: B,
        size_hint: SizeHint,
    ) -> Self {
        Self {
            first: Some(first),
            second,
            rest,
            size_hint,
        }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Read<B>>>
    where
        B: Unpin,
    {
        match self.first.take().or_else(|| self.second.take()) {
            Some(read) => Poll::Ready(Some(read)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.second.is_none() && self.rest.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match (&self.first, &self.second) {
            (Some(_), _) => self.size_hint,
            (None, Some(_)) => SizeHint::default(),
            (None, None) => self.rest.size_hint(),
        }
    }
}
