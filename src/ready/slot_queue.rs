//! Calls that wait for a connection of the channel, or for a stream on one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::line::{Bounds, Line, Number};
use crate::kernel::sync::Mutex;

/// The waiting calls of a channel, in order of arrival. `n` free slots wake the first `n` calls. A
/// slot is not kept for the call that it wakes, so a woken call that is never polled holds up no
/// other (CONTRACT W11).
pub(crate) struct SlotQueue {
    line: Mutex<Line<Arc<Place>>>,
    /// Calls in line, to be read without the lock.
    waiting: AtomicUsize,
    /// All waiting calls, the woken ones among them.
    calls: AtomicUsize,
    bounds: Bounds,
    /// A task looks after calls that are not polled.
    has_alarm: AtomicBool,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Place {
    waker: Mutex<Option<Waker>>,
    state: AtomicU8,
}

/// In line.
const WAITS: u8 = 0;
/// It is the call's turn to look for a slot.
const WOKEN: u8 = 1;
/// The call found a slot.
const SERVED: u8 = 2;

impl Place {
    fn is_woken(&self) -> bool {
        self.state.load(Ordering::Acquire) == WOKEN
    }
}

/// How long a woken call may take before the next ones are woken as well.
const PATIENCE: Duration = Duration::from_millis(50);

impl SlotQueue {
    pub(crate) fn new(bounds: Bounds, runtime: Handle) -> Self {
        Self {
            line: Mutex::default(),
            waiting: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            bounds,
            has_alarm: AtomicBool::new(false),
            runtime,
        }
    }

    /// The number of waiting calls.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// The size of their requests, as far as it is known.
    pub(crate) fn bytes(&self) -> usize {
        self.line.lock().bytes()
    }

    /// The number of calls that were woken and look for a slot.
    #[inline]
    pub(crate) fn woken(&self) -> u32 {
        let calls = self.calls();
        if calls == 0 {
            return 0;
        }
        let woken = calls.saturating_sub(self.waiting.load(Ordering::Acquire));
        u32::try_from(woken).unwrap_or(u32::MAX)
    }

    /// Whether a new call may look for a slot without waiting behind others.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// A place at the end for a request of this size; `None` if the queue is full.
    pub(crate) fn enter(self: &Arc<Self>, bytes: usize) -> Option<Waiter> {
        let place = Arc::<Place>::default();
        let number = self.change(|line| line.admit(bytes, 0, self.bounds, Arc::clone(&place)))?;
        if self.woken() > 0 {
            // Those before it may never be polled.
            self.look_after();
        }
        Some(Waiter {
            queue: Arc::clone(self),
            place,
            number,
        })
    }

    /// This number of slots is free.
    #[inline]
    pub(crate) fn free(self: &Arc<Self>, slots: u32) {
        if !self.is_empty() {
            self.wake(slots as usize);
        }
    }

    /// The state of the channel has changed.
    pub(crate) fn wake_all(self: &Arc<Self>) {
        self.wake(usize::MAX);
    }

    #[cold]
    fn wake(self: &Arc<Self>, most: usize) {
        for _ in 0..most {
            let woken = self.change(|line| {
                let place = Arc::clone(line.step_out()?);
                // Under the lock, so that a call that steps back in finds itself out of line.
                place.state.store(WOKEN, Ordering::Release);
                Some(place)
            });
            let Some(place) = woken else {
                return;
            };
            let waker = place.waker.lock().take();
            waker.into_iter().for_each(Waker::wake);
        }
        self.look_after();
    }

    /// While calls wait, one task wakes the next ones if the woken ones are not polled.
    fn look_after(self: &Arc<Self>) {
        if self.is_empty() || self.has_alarm.swap(true, Ordering::AcqRel) {
            return;
        }
        let queue = Arc::downgrade(self);
        self.runtime.spawn(async move {
            loop {
                sleep(PATIENCE).await;
                let Some(queue) = queue.upgrade() else {
                    return;
                };
                if queue.is_empty() {
                    queue.has_alarm.store(false, Ordering::Release);
                    // A call may have entered since, and found the alarm still set.
                    if queue.is_empty() || queue.has_alarm.swap(true, Ordering::AcqRel) {
                        return;
                    }
                }
                if queue.calls() > queue.waiting.load(Ordering::Acquire) {
                    queue.wake_all();
                }
            }
        });
    }

    /// Changes the line, and the numbers that are read without its lock.
    fn change<T>(&self, change: impl FnOnce(&mut Line<Arc<Place>>) -> T) -> T {
        let mut line = self.line.lock();
        let changed = change(&mut line);
        self.waiting.store(line.in_line(), Ordering::Release);
        self.calls.store(line.len(), Ordering::Release);
        changed
    }
}

impl fmt::Debug for SlotQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotQueue")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

/// A waiting call; its place is released on drop.
#[derive(Debug)]
pub(crate) struct Waiter {
    queue: Arc<SlotQueue>,
    place: Arc<Place>,
    number: Number,
}

impl Waiter {
    /// Ready when it is the call's turn to look for a slot.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.place.is_woken() {
            return Poll::Ready(());
        }
        let before = self.place.waker.lock().replace(cx.waker().clone());
        drop(before);
        if self.place.is_woken() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// There was no slot: the call waits on, ahead of all calls that came after it. Whether it was
    /// out of line meanwhile, so that nothing that came free could wake it.
    pub(crate) fn again(&self) -> bool {
        let was_out = self.place.is_woken();
        if was_out {
            self.queue.change(|line| {
                self.place.state.store(WAITS, Ordering::Release);
                line.step_in(self.number);
            });
        }
        was_out
    }

    /// The call has a slot, so its turn is used.
    pub(crate) fn served(self) {
        self.place.state.store(SERVED, Ordering::Release);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let left = self.queue.change(|line| line.leave(self.number));
        // A waker may run any code on drop, so the place is dropped without the lock.
        drop(left);
        if self.place.is_woken() {
            // The slot that it was woken for is another call's.
            self.queue.free(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(calls: usize, bytes: usize) -> Arc<SlotQueue> {
        let bounds = Bounds { calls, bytes };
        Arc::new(SlotQueue::new(bounds, Handle::current()))
    }

    fn is_ready(waiter: &Waiter) -> bool {
        waiter.poll(&Context::from_waker(Waker::noop())).is_ready()
    }

    // CONTRACT W11
    #[tokio::test(start_paused = true)]
    async fn a_call_that_comes_after_a_woken_one_that_is_never_polled_is_woken_too() {
        let queue = queue(10, 0);
        let _unpolled = queue.enter(0).unwrap();
        queue.free(1);
        let next = queue.enter(0).unwrap();
        let woken = std::future::poll_fn(|cx| next.poll(cx));
        tokio::time::timeout(2 * PATIENCE, woken).await.unwrap();
    }

    // CONTRACT L7
    #[tokio::test(start_paused = true)]
    async fn a_call_that_steps_back_into_line_is_told_to_look_once_more() {
        let queue = queue(10, 0);
        let waiter = queue.enter(0).unwrap();
        assert!(!waiter.again(), "it was in line all the time");
        queue.free(1);
        assert!(waiter.again() && !waiter.again());
    }

    // CONTRACT C8
    #[tokio::test(start_paused = true)]
    async fn calls_are_woken_in_order_of_arrival() {
        let queue = queue(10, 0);
        let waiters: Vec<_> = (0..3).map(|_| queue.enter(0).unwrap()).collect();
        queue.free(1);
        assert_eq!(
            waiters.iter().map(is_ready).collect::<Vec<_>>(),
            [true, false, false]
        );
        assert_eq!(queue.woken(), 1);
        assert!(waiters[0].again());
        assert_eq!(queue.woken(), 0);
        assert!(!is_ready(&waiters[0]));
        queue.free(1);
        assert!(is_ready(&waiters[0]), "it stays in front");
        queue.free(1);
        assert!(is_ready(&waiters[1]) && !is_ready(&waiters[2]));
        waiters[1].again();
        waiters[0].again();
        queue.free(1);
        assert!(is_ready(&waiters[0]) && !is_ready(&waiters[1]));
    }

    // CONTRACT C8
    #[tokio::test(start_paused = true)]
    async fn as_many_calls_are_woken_as_slots_are_free() {
        let queue = queue(10, 0);
        let waiters: Vec<_> = (0..5).map(|_| queue.enter(0).unwrap()).collect();
        let woken = || waiters.iter().filter(|it| is_ready(it)).count();
        queue.free(3);
        assert_eq!(woken(), 3);
        queue.wake_all();
        assert_eq!(woken(), 5);
    }

    // CONTRACT C8
    #[tokio::test(start_paused = true)]
    async fn a_call_that_leaves_hands_its_turn_on() {
        let queue = queue(10, 10);
        let (first, second) = (queue.enter(1).unwrap(), queue.enter(2).unwrap());
        queue.free(1);
        assert!(is_ready(&first) && !is_ready(&second));
        drop(first);
        assert!(is_ready(&second));
        assert_eq!(queue.bytes(), 2);
        second.served();
        assert_eq!((queue.calls(), queue.bytes()), (0, 0));
        let waits = queue.enter(1).unwrap();
        drop(waits);
        assert_eq!((queue.calls(), queue.is_empty()), (0, true));
    }

    // CONTRACT C8
    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_served_takes_no_slot_of_another() {
        let queue = queue(10, 0);
        let (first, second) = (queue.enter(0).unwrap(), queue.enter(0).unwrap());
        queue.free(1);
        first.served();
        assert!(!is_ready(&second));
    }

    // CONTRACT W11
    #[tokio::test(start_paused = true)]
    async fn a_woken_call_that_is_never_polled_holds_up_no_other() {
        let queue = queue(10, 0);
        let (_never_polled, next) = (queue.enter(0).unwrap(), queue.enter(0).unwrap());
        queue.free(1);
        assert!(!is_ready(&next));
        let polled = std::future::poll_fn(|cx| next.poll(cx));
        tokio::time::timeout(2 * PATIENCE, polled).await.unwrap();
    }

    // CONTRACT W7
    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_by_calls_and_by_bytes() {
        let queue = queue(2, 10);
        let first = queue.enter(8).unwrap();
        assert!(queue.enter(3).is_none(), "too many bytes");
        let second = queue.enter(2).unwrap();
        assert!(queue.enter(0).is_none(), "too many calls");
        queue.free(1);
        assert!(queue.enter(0).is_none(), "a woken call counts, too");
        drop((first, second));
        assert!(queue.enter(10).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_that_looks_after_calls_ends_with_them() {
        let queue = queue(10, 0);
        let waiters = (queue.enter(0).unwrap(), queue.enter(0).unwrap());
        queue.free(1);
        assert!(queue.has_alarm.load(Ordering::Acquire));
        drop(waiters);
        sleep(2 * PATIENCE).await;
        assert!(!queue.has_alarm.load(Ordering::Acquire));
    }
}
