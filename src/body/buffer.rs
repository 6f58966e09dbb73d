use std::sync::Arc;
use std::time::Duration;

use crate::kernel::sync::{AtomicUsize, Ordering};

/// The total size that the recordings of a channel may keep; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ReplayBuffer(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    limit: usize,
    held: AtomicUsize,
    /// Kept by calls that wait between two attempts.
    waiting: AtomicUsize,
    /// The part of it that is kept by calls with a long wait.
    waiting_long: AtomicUsize,
}

impl ReplayBuffer {
    /// Creates a buffer of `bytes` bytes.
    #[must_use]
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Pool {
            limit: bytes,
            held: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            waiting_long: AtomicUsize::new(0),
        }))
    }

    /// One write if there is room, none otherwise: all calls of a channel use this, on all threads.
    /// Of two calls that find the last room at the same time, both may fail.
    fn reserve(&self, bytes: usize) -> bool {
        let Pool { limit, held, .. } = &*self.0;
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

    /// Reserves the right to wait `wait` for the next attempt, for a call that keeps `bytes` bytes
    /// (CONTRACT R8a).
    pub(crate) fn wait(&self, bytes: usize, wait: Duration) -> Option<WaitingShare> {
        let Pool {
            limit,
            waiting,
            waiting_long,
            ..
        } = &*self.0;
        let share = |of: &AtomicUsize, most: usize| {
            let others = of.fetch_add(bytes, Ordering::Relaxed);
            // A single waiting call may keep any size.
            let fits = others == 0 || others.saturating_add(bytes) <= most;
            if !fits {
                of.fetch_sub(bytes, Ordering::Relaxed);
            }
            fits
        };
        let is_long = wait > LONG_WAIT;
        if !share(waiting, limit - limit / 4) {
            return None;
        }
        if is_long && !share(waiting_long, limit / 2) {
            waiting.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        Some(WaitingShare {
            buffer: self.clone(),
            bytes,
            is_long,
        })
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.0.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A longer wait than this counts as long. Long waits have to leave more room for others.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// The share of a call that waits between two attempts; its wait ends on drop.
#[derive(Debug)]
pub(crate) struct WaitingShare {
    buffer: ReplayBuffer,
    bytes: usize,
    is_long: bool,
}

impl Drop for WaitingShare {
    fn drop(&mut self) {
        let Pool {
            waiting,
            waiting_long,
            ..
        } = &*self.buffer.0;
        waiting.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.is_long {
            waiting_long.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// The memory cost of a kept frame besides its data: its entry and the allocator's overhead.
pub(super) const FRAME_COST: usize = 96;

/// Why a request can't be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum NotReplayable {
    /// The request is larger than the limit of one call.
    TooLarge,
    /// The channel's buffer is full.
    BufferFull,
    /// The caller's request stream failed.
    RequestFailed,
}

/// A reservation for the data of a call.
pub(super) trait Room {
    /// Reserves `data` bytes; `false` if there is no room.
    fn take(&mut self, data: usize) -> bool;
    fn give_back(&mut self, data: usize);
}

/// A reservation in the replay buffer, released on drop unless [taken over](Self::take_over) by an
/// owner that has the buffer too. It borrows the buffer, because a handle of its own for each call
/// would change the shared reference counter on all threads.
pub(crate) struct Loan<'a> {
    buffer: &'a ReplayBuffer,
    limit: usize,
    bytes: usize,
}

impl<'a> Loan<'a> {
    /// A reservation of at most `limit` bytes.
    pub(super) fn new(buffer: &'a ReplayBuffer, limit: usize) -> Self {
        Self {
            buffer,
            limit,
            bytes: 0,
        }
    }

    /// Passes the reservation to the caller, which releases this many bytes.
    pub(crate) fn take_over(mut self) -> usize {
        std::mem::take(&mut self.bytes)
    }
}

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

/// The part of the channel's buffer that one recording uses; released on drop.
#[derive(Debug)]
pub(super) struct Share {
    /// `None` if the size is not counted in a buffer.
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

    /// A share with a limit, but without a buffer.
    pub(super) fn uncounted(limit: usize) -> Self {
        Self {
            buffer: None,
            limit,
            data: 0,
            memory: 0,
        }
    }

    /// Reserves room for the data of a call.
    pub(super) fn grow(&mut self, data: usize) -> Result<(), NotReplayable> {
        self.take(data, data)
    }

    /// Reserves room for one of several frames, with its overhead.
    pub(super) fn grow_by_frame(&mut self, data: usize) -> Result<(), NotReplayable> {
        self.take(data, data.saturating_add(FRAME_COST))
    }

    /// Releases the room of the data of a call.
    pub(super) fn shrink(&mut self, data: usize) {
        self.give_back(data, data);
    }

    /// Releases the room of a frame.
    pub(super) fn shrink_by_frame(&mut self, data: usize) {
        self.give_back(data, data.saturating_add(FRAME_COST));
    }

    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// The limit of a call counts data, as gRPC's does; the channel's buffer counts memory.
    fn take(&mut self, data: usize, memory: usize) -> Result<(), NotReplayable> {
        let sum = self.data.checked_add(data).ok_or(NotReplayable::TooLarge)?;
        if sum > self.limit {
            return Err(NotReplayable::TooLarge);
        }
        let buffer = self.buffer.as_ref();
        if !buffer.is_none_or(|buffer| buffer.reserve(memory)) {
            return Err(NotReplayable::BufferFull);
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

    impl ReplayBuffer {
        pub(crate) fn unlimited() -> Self {
            Self::new(usize::MAX)
        }

        /// How many bytes the recordings hold now, those it takes to keep frames apart included.
        pub(crate) fn held(&self) -> usize {
            self.0.held.load(Ordering::Relaxed)
        }
    }

    // CONTRACT R8, PEER-CASES JAVA-per-rpc-limit, JAVA-channel-limit
    #[test]
    fn a_share_keeps_to_its_own_limit_and_to_the_buffer_s() {
        let buffer = ReplayBuffer::new(10);
        let mut one = Share::new(buffer.clone(), 8);
        let mut two = Share::new(buffer.clone(), 8);
        assert_eq!(one.grow(9), Err(NotReplayable::TooLarge));
        assert_eq!(one.grow(8), Ok(()));
        assert_eq!(one.grow(1), Err(NotReplayable::TooLarge));
        assert_eq!(two.grow(3), Err(NotReplayable::BufferFull));
        assert_eq!(two.grow(2), Ok(()));
        assert_eq!(buffer.held(), 10);
        one.shrink(8);
        assert_eq!(two.grow(3), Ok(()));
        drop((one, two));
        assert_eq!(buffer.held(), 0);
    }

    // CONTRACT R8a
    #[test]
    fn calls_that_wait_hold_three_quarters_and_those_that_wait_for_long_half() {
        let buffer = ReplayBuffer::new(100);
        let (short, long) = (LONG_WAIT, LONG_WAIT + Duration::from_nanos(1));
        let first = buffer.wait(25, long).unwrap();
        let second = buffer.wait(25, long).unwrap();
        assert!(buffer.wait(1, long).is_none());
        let third = buffer.wait(25, short).unwrap();
        assert!(buffer.wait(1, short).is_none());
        drop(first);
        assert!(buffer.wait(26, long).is_none());
        let fourth = buffer.wait(25, long).unwrap();
        drop((second, third, fourth));
        // A single call may keep more.
        let all = buffer.wait(100, long).unwrap();
        assert!(buffer.wait(1, short).is_none());
        drop(all);
        assert!(buffer.wait(0, long).is_some());
        assert_eq!(buffer.0.waiting.load(Ordering::Relaxed), 0);
        assert_eq!(buffer.0.waiting_long.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_refused_frame_takes_nothing() {
        let buffer = ReplayBuffer::unlimited();
        let mut share = Share::new(buffer.clone(), usize::MAX);
        share.grow(1).unwrap();
        assert_eq!(share.grow(usize::MAX), Err(NotReplayable::TooLarge));
        assert_eq!(buffer.held(), 1);
    }
}
