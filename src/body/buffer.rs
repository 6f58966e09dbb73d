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

    /// How many bytes the recordings hold now, those it takes to keep frames apart included.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// One write where there is room, and none where there is not: all calls of a channel do this, on all
    /// threads. Of two that find the last room at once, none may get it.
    fn reserve(&self, bytes: usize) -> bool {
        let Pool { limit, held } = &*self.0;
        let fits = |held: usize| held.checked_add(bytes).is_some_and(|sum| sum <= *limit);
        if !fits(held.load(Ordering::Relaxed)) {
            return false;
        }
        let fits = fits(held.fetch_add(bytes, Ordering::Relaxed));
        if !fits {
            held.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.0.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What a frame costs that is kept, besides its data: its entry, and the allocator's share.
pub(super) const FRAME_COST: usize = 96;

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

/// Where there is room for the data of a call, or not.
pub(super) trait Room {
    /// Whether there was room for it.
    fn take(&mut self, data: usize) -> bool;
    fn give_back(&mut self, data: usize);
}

/// What the data of one call takes of a buffer; given back on drop, unless somebody [takes it
/// over](Self::take_over) who has the buffer too. A share of its own for each call would count one more of
/// them, on all threads.
#[cfg(feature = "retry")]
pub(crate) struct Loan<'a> {
    buffer: &'a ReplayBuffer,
    limit: usize,
    bytes: usize,
}

#[cfg(feature = "retry")]
impl<'a> Loan<'a> {
    /// Of at most so much.
    pub(super) fn new(buffer: &'a ReplayBuffer, limit: usize) -> Self {
        Self {
            buffer,
            limit,
            bytes: 0,
        }
    }

    /// So many bytes are given back by whoever calls this.
    pub(crate) fn take_over(mut self) -> usize {
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(feature = "retry")]
impl Room for Loan<'_> {
    #[inline]
    fn take(&mut self, data: usize) -> bool {
        let fits = data <= self.limit && self.buffer.reserve(data);
        self.bytes = if fits { data } else { 0 };
        fits
    }

    fn give_back(&mut self, _: usize) {
        self.buffer.release(std::mem::take(&mut self.bytes));
    }
}

#[cfg(feature = "retry")]
impl Drop for Loan<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.buffer.release(self.bytes);
        }
    }
}

impl Room for Share {
    fn take(&mut self, data: usize) -> bool {
        self.grow(data).is_ok()
    }

    fn give_back(&mut self, data: usize) {
        self.shrink(data);
    }
}

/// What one recording holds of the channel's buffer; given back on drop.
#[derive(Debug)]
pub(super) struct Share {
    /// `None` where nobody counts.
    buffer: Option<ReplayBuffer>,
    limit: usize,
    data: usize,
    memory: usize,
}

impl Share {
    /// An empty share that may grow to `limit` bytes.
    pub(super) fn new(buffer: ReplayBuffer, limit: usize) -> Self {
        Self {
            buffer: Some(buffer),
            limit,
            data: 0,
            memory: 0,
        }
    }

    /// The same, of no buffer.
    #[cfg(feature = "wait-for-ready")]
    pub(super) fn uncounted(limit: usize) -> Self {
        Self {
            buffer: None,
            limit,
            data: 0,
            memory: 0,
        }
    }

    /// Takes room for the data of a call.
    pub(super) fn grow(&mut self, data: usize) -> Result<(), Lost> {
        self.take(data, data)
    }

    /// Takes room for one frame of many, with what it costs to keep it.
    pub(super) fn grow_by_frame(&mut self, data: usize) -> Result<(), Lost> {
        self.take(data, data.saturating_add(FRAME_COST))
    }

    /// Gives back the room of the data of a call.
    pub(super) fn shrink(&mut self, data: usize) {
        self.give_back(data, data);
    }

    /// Gives back the room of a frame.
    pub(super) fn shrink_by_frame(&mut self, data: usize) {
        self.give_back(data, data.saturating_add(FRAME_COST));
    }

    /// The limit of a call is one of data, as gRPC's is; the channel's buffer is one of memory.
    fn take(&mut self, data: usize, memory: usize) -> Result<(), Lost> {
        let sum = self.data.checked_add(data).ok_or(Lost::TooLarge)?;
        if sum > self.limit {
            return Err(Lost::TooLarge);
        }
        let buffer = self.buffer.as_ref();
        if !buffer.is_none_or(|buffer| buffer.reserve(memory)) {
            return Err(Lost::BufferFull);
        }
        self.data = sum;
        self.memory += memory;
        Ok(())
    }

    fn give_back(&mut self, data: usize, memory: usize) {
        self.data = self.data.saturating_sub(data);
        let memory = memory.min(self.memory);
        self.memory -= memory;
        if let Some(buffer) = &self.buffer {
            buffer.release(memory);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(buffer) = &self.buffer {
            buffer.release(self.memory);
        }
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
        assert_eq!(one.grow(1), Err(Lost::TooLarge));
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
