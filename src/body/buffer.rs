use std::sync::Arc;

use crate::sync::{AtomicUsize, Ordering};

/// What the recordings of a channel may hold together; clones share it.
#[derive(Clone, Debug)]
pub struct ReplayBuffer(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    limit: usize,
    held: AtomicUsize,
}

impl ReplayBuffer {
    /// A buffer of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Pool {
            limit: bytes,
            held: AtomicUsize::new(0),
        }))
    }

    /// A buffer without a bound.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    /// How many bytes the recordings hold now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    fn reserve(&self, bytes: usize) -> bool {
        let held = &self.0.held;
        let grown = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.0.limit);
        held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .is_ok()
    }

    fn release(&self, bytes: usize) {
        self.0.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Why a request can't be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// It is larger than one call may hold.
    TooLarge,
    /// The recordings of the channel hold all that they may.
    BufferFull,
    /// The caller's request stream failed by itself.
    RequestFailed,
}

/// What one recording holds of the channel's buffer; given back on drop.
#[derive(Debug)]
pub(super) struct Share {
    buffer: ReplayBuffer,
    limit: usize,
    held: usize,
}

impl Share {
    /// An empty share that may grow to `limit` bytes.
    pub(super) fn new(buffer: ReplayBuffer, limit: usize) -> Self {
        Self {
            buffer,
            limit,
            held: 0,
        }
    }

    /// Takes room for a frame. An empty one counts as a byte, so that their number is bounded too.
    pub(super) fn grow(&mut self, frame: usize) -> Result<(), Lost> {
        let bytes = frame.max(1);
        let held = self.held.checked_add(bytes).ok_or(Lost::TooLarge)?;
        if held > self.limit {
            return Err(Lost::TooLarge);
        }
        if !self.buffer.reserve(bytes) {
            return Err(Lost::BufferFull);
        }
        self.held = held;
        Ok(())
    }

    /// Gives back the room of a frame.
    pub(super) fn shrink(&mut self, frame: usize) {
        let bytes = frame.max(1).min(self.held);
        self.held -= bytes;
        self.buffer.release(bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.buffer.release(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT R8, PEER-CASES JAVA-per-rpc-limit, JAVA-channel-limit
    #[test]
    fn a_share_keeps_to_its_own_limit_and_to_the_buffer_s() {
        let buffer = ReplayBuffer::new(10);
        let mut one = Share::new(buffer.clone(), 8);
        let mut two = Share::new(buffer.clone(), 8);
        assert_eq!(one.grow(9), Err(Lost::TooLarge));
        assert_eq!(one.grow(8), Ok(()));
        assert_eq!(one.grow(0), Err(Lost::TooLarge));
        assert_eq!(two.grow(3), Err(Lost::BufferFull));
        assert_eq!(two.grow(2), Ok(()));
        assert_eq!(buffer.held(), 10);
        one.shrink(8);
        assert_eq!(two.grow(3), Ok(()));
        drop((one, two));
        assert_eq!(buffer.held(), 0);
    }

    #[test]
    fn a_refused_frame_takes_nothing() {
        let buffer = ReplayBuffer::unlimited();
        let mut share = Share::new(buffer.clone(), usize::MAX);
        share.grow(1).unwrap();
        assert_eq!(share.grow(usize::MAX), Err(Lost::TooLarge));
        assert_eq!(buffer.held(), 1);
    }
}
