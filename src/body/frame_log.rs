use std::collections::VecDeque;

use bytes::Bytes;

use super::buffer::{NotReplayable, Share};

/// The kept frames of a live request, and the reader's position.
pub(super) struct FrameLog {
    frames: VecDeque<Bytes>,
    read: usize,
    share: Share,
    /// False once no attempt can follow.
    keeps: bool,
}

impl FrameLog {
    pub(super) fn new(share: Share) -> Self {
        Self {
            frames: VecDeque::new(),
            read: 0,
            share,
            keeps: true,
        }
    }

    pub(super) fn is_keeping(&self) -> bool {
        self.keeps
    }

    /// The size that it uses of the buffer.
    pub(super) fn memory(&self) -> usize {
        self.share.memory()
    }

    /// Whether the reader has caught up with the source.
    pub(super) fn is_read(&self) -> bool {
        self.read == self.frames.len()
    }

    pub(super) fn rewind(&mut self) {
        self.read = 0;
    }

    pub(super) fn next(&mut self) -> Option<Bytes> {
        let data = self.frames.get(self.read)?.clone();
        self.read += 1;
        if !self.keeps {
            self.free_what_was_read();
        }
        Some(data)
    }

    /// Keeps the frame that the reader got, while there is room.
    pub(super) fn keep(&mut self, data: &Bytes) -> Result<(), NotReplayable> {
        if !self.keeps {
            return Ok(());
        }
        self.share.grow_by_frame(data.len())?;
        // A slice would keep the encoder's whole buffer in memory, uncounted.
        self.frames.push_back(Bytes::copy_from_slice(data));
        self.read = self.frames.len();
        Ok(())
    }

    /// Stops keeping frames. Frames that are still to be read stay until then.
    pub(super) fn commit(&mut self) {
        self.keeps = false;
        self.free_what_was_read();
    }

    pub(super) fn free(&mut self) {
        self.read = self.frames.len();
        self.free_what_was_read();
    }

    fn free_what_was_read(&mut self) {
        for data in self.frames.drain(..self.read) {
            self.share.shrink_by_frame(data.len());
        }
        self.read = 0;
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
    }
}
