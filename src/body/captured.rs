use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// A request that was complete when it was captured: at most one data frame.
///
/// Cloning shares the bytes; a clone reads them from their start.
#[derive(Clone, Debug)]
pub(super) struct Captured {
    frame: Option<Bytes>,
    at_end: bool,
    detached: bool,
    size_hint: SizeHint,
}

impl Captured {
    pub(super) fn new(frame: Option<Bytes>, was_at_end: bool, size_hint: SizeHint) -> Self {
        Self {
            frame,
            at_end: was_at_end,
            detached: false,
            size_hint,
        }
    }

    /// An empty body, which is at its end.
    pub(super) fn nothing() -> Self {
        Self::new(None, true, SizeHint::with_exact(0))
    }

    /// Copies the frame out of the encoder's buffer, which may be much larger and is not counted.
    pub(super) fn detach(&mut self) {
        if !std::mem::replace(&mut self.detached, true) {
            self.frame = self.frame.as_deref().map(Bytes::copy_from_slice);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.frame.as_ref().map_or(0, Bytes::len)
    }

    pub(super) fn read<E>(&mut self) -> Option<Result<Frame<Bytes>, E>> {
        self.at_end = true;
        self.frame.take().map(|data| Ok(Frame::data(data)))
    }

    /// True once the frame was read, which saves an empty frame on the wire. Before that it is true
    /// only if the original is at its end: hyper would send the head alone.
    pub(super) fn is_end_stream(&self) -> bool {
        self.at_end
    }

    /// The original's: a more exact hint would make hyper send `content-length`.
    pub(super) fn size_hint(&self) -> SizeHint {
        match (&self.frame, self.at_end) {
            (Some(_), _) | (None, false) => self.size_hint,
            (None, true) => SizeHint::with_exact(0),
        }
    }
}
