//! Calls that wait for a connection or a slot, in order of arrival.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::kernel::sync::Mutex;

/// The waiting calls of a channel. A free slot wakes the first call, and is not kept for it: a call
/// that is woken and not polled holds up nobody (CONTRACT W11).
pub(crate) struct Queue {
    places: Mutex<VecDeque<Arc<Place>>>,
    /// How many places there are, to be asked without the lock.
    waiting: AtomicUsize,
    /// All calls that wait, those that were woken among them.
    calls: AtomicUsize,
    next: AtomicUsize,
    max: usize,
    /// A task looks after calls that are not polled.
    has_alarm: AtomicBool,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Place {
    /// In order of arrival.
    number: usize,
    waker: Mutex<Option<Waker>>,
    state: AtomicU8,
}

/// In line.
const WAITS: u8 = 0;
/// Out of line, to look for a slot.
const WOKEN: u8 = 1;
/// It found one.
const SERVED: u8 = 2;

impl Place {
    fn is_woken(&self) -> bool {
        self.state.load(Ordering::Acquire) == WOKEN
    }
}

/// How long a woken call may take before the next ones are woken as well.
const PATIENCE: Duration = Duration::from_millis(50);

impl Queue {
    pub(crate) fn new(max: usize, runtime: Handle) -> Self {
        Self {
            places: Mutex::default(),
            waiting: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            max,
            has_alarm: AtomicBool::new(false),
            runtime,
        }
    }

    /// How many calls wait.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many calls were woken and look for a slot.
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

    /// A place at the end; `None` if too many wait already.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Ticket> {
        if self.calls.fetch_add(1, Ordering::AcqRel) >= self.max {
            self.calls.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let place = Arc::new(Place {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            ..Place::default()
        });
        self.push(&place);
        let queue = Arc::clone(self);
        Some(Ticket { queue, place })
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
            let mut places = self.places.lock();
            let Some(place) = places.pop_front() else {
                return;
            };
            self.waiting.store(places.len(), Ordering::Release);
            drop(places);
            place.state.store(WOKEN, Ordering::Release);
            let waker = place.waker.lock().take();
            waker.into_iter().for_each(Waker::wake);
        }
        self.look_after();
    }

    /// While calls wait, one task wakes the next ones if those that were woken are not polled.
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
                    return;
                }
                if queue.calls() > queue.waiting.load(Ordering::Acquire) {
                    queue.wake_all();
                }
            }
        });
    }

    /// In line by arrival: calls that were woken together and found no slot keep their order.
    fn push(&self, place: &Arc<Place>) {
        let mut places = self.places.lock();
        let at = places.partition_point(|it| it.number < place.number);
        places.insert(at, Arc::clone(place));
        self.waiting.store(places.len(), Ordering::Release);
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

/// A call's place in the queue; given up on drop.
#[derive(Debug)]
pub(crate) struct Ticket {
    queue: Arc<Queue>,
    place: Arc<Place>,
}

impl Ticket {
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

    /// There was no slot: it waits on, in front of those that came later.
    pub(crate) fn again(&self) {
        if self.place.state.swap(WAITS, Ordering::AcqRel) == WOKEN {
            self.queue.push(&self.place);
        }
    }

    /// The call has a slot, so its turn is used.
    pub(crate) fn served(self) {
        self.place.state.store(SERVED, Ordering::Release);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.calls.fetch_sub(1, Ordering::AcqRel);
        match self.place.state.load(Ordering::Acquire) {
            SERVED => return,
            // The slot that it was woken for is another call's.
            WOKEN => return self.queue.free(1),
            _ => {}
        }
        let mut places = self.queue.places.lock();
        places.retain(|place| !Arc::ptr_eq(place, &self.place));
        self.queue.waiting.store(places.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(max: usize) -> Arc<Queue> {
        Arc::new(Queue::new(max, Handle::current()))
    }

    fn is_ready(ticket: &Ticket) -> bool {
        ticket.poll(&Context::from_waker(Waker::noop())).is_ready()
    }

    // CONTRACT C8
    #[tokio::test(start_paused = true)]
    async fn calls_are_woken_in_order_of_arrival() {
        let queue = queue(10);
        let tickets: Vec<_> = (0..3).map(|_| queue.enter().unwrap()).collect();
        queue.free(1);
        assert_eq!(
            tickets.iter().map(is_ready).collect::<Vec<_>>(),
            [true, false, false]
        );
        tickets[0].again();
        assert!(!is_ready(&tickets[0]));
        queue.free(1);
        assert!(is_ready(&tickets[0]), "it stays in front");
        queue.free(1);
        assert!(is_ready(&tickets[1]) && !is_ready(&tickets[2]));
    }

    // CONTRACT C8
    #[tokio::test(start_paused = true)]
    async fn calls_that_are_woken_together_and_find_no_slot_keep_their_order() {
        let queue = queue(10);
        let tickets: Vec<_> = (0..3).map(|_| queue.enter().unwrap()).collect();
        queue.wake_all();
        tickets.iter().for_each(Ticket::again);
        for served in 1..=3 {
            queue.free(1);
            let ready: Vec<_> = tickets.iter().map(is_ready).collect();
            let expected: Vec<_> = (0..3).map(|it| it < served).collect();
            assert_eq!(ready, expected);
        }
    }

    // CONTRACT C8
    #[tokio::test(start_paused = true)]
    async fn a_call_that_leaves_hands_its_turn_on() {
        let queue = queue(10);
        let (first, second) = (queue.enter().unwrap(), queue.enter().unwrap());
        queue.free(1);
        assert!(is_ready(&first) && !is_ready(&second));
        drop(first);
        assert!(is_ready(&second));
        second.served();
        assert_eq!((queue.calls(), queue.is_empty()), (0, true));
        let waits = queue.enter().unwrap();
        drop(waits);
        assert_eq!((queue.calls(), queue.is_empty()), (0, true));
    }

    // CONTRACT W11
    #[tokio::test(start_paused = true)]
    async fn a_woken_call_that_is_never_polled_holds_up_nobody() {
        let queue = queue(10);
        let (_never_polled, next) = (queue.enter().unwrap(), queue.enter().unwrap());
        queue.free(1);
        assert!(!is_ready(&next));
        let polled = std::future::poll_fn(|cx| next.poll(cx));
        tokio::time::timeout(2 * PATIENCE, polled).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_may() {
        let queue = queue(1);
        let first = queue.enter().unwrap();
        assert!(queue.enter().is_none());
        drop(first);
        assert!(queue.enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_that_looks_after_calls_ends_with_them() {
        let queue = queue(10);
        let tickets = (queue.enter().unwrap(), queue.enter().unwrap());
        queue.free(1);
        assert!(queue.has_alarm.load(Ordering::Acquire));
        drop(tickets);
        sleep(2 * PATIENCE).await;
        assert!(!queue.has_alarm.load(Ordering::Acquire));
    }
}
