use std::num::NonZeroU32;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::line::{Bounds, Line, Number};

/// The waiting calls in order of arrival. Pure: it returns the wakers that its owner has to wake.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Line<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// It probes the channel now.
    probes: bool,
    /// When it goes, once the channel is ready.
    slot: Option<Instant>,
    waker: Option<Waker>,
}

impl Waiting {
    /// Whether it is polled, as far as is known, and is not probing.
    fn watches(&self) -> bool {
        self.waker.is_some() && !self.probes
    }
}

/// How many calls at the head of the queue wake on their own when the next probe is due: one, and
/// deputies in case the ones before are not polled. If none of them is polled, the gate's alarm
/// wakes all (CONTRACT W11); a call that was woken and has not asked since does not count.
const WATCHERS: usize = 8;

/// The delay between the wake-ups of two of them.
const DEPUTY: Duration = Duration::from_millis(25);

/// How long after a probe was due all of them count as not polled.
pub(crate) const UNWATCHED: Duration = Duration::from_millis(250);

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.waiting.bytes()
    }

    /// Adds a call that returned `returns` times; `None` if the queue is full.
    pub(crate) fn admit(&mut self, bytes: usize, returns: u32, bounds: Bounds) -> Option<Number> {
        let call = Waiting::default();
        self.waiting.admit(bytes, returns, bounds, call)
    }

    /// Releases a place. Returns the calls to wake, which take over its watch.
    pub(crate) fn leave(&mut self, number: Number) -> Vec<Waker> {
        let watched = self.rank(number).is_some();
        let Some(left) = self.waiting.leave(number) else {
            return Vec::new();
        };
        let mut wake = if watched { self.watchers() } else { Vec::new() };
        // Dropped where the others are woken, outside the lock: a waker may run any code.
        wake.extend(left.waker);
        wake
    }

    pub(crate) fn has(&self, number: Number) -> bool {
        self.waiting.has(number)
    }

    /// Waits for the next change. Returns a waker that is not needed any more.
    pub(crate) fn wait(&mut self, number: Number, waker: Option<&Waker>) -> Option<Waker> {
        let place = self.waiting.get_mut(number)?;
        place.probes = false;
        let waker = waker?;
        match &place.waker {
            Some(known) if known.will_wake(waker) => None,
            _ => place.waker.replace(waker.clone()),
        }
    }

    /// Marks this call as the one that probes the channel.
    pub(crate) fn probes(&mut self, number: Number) {
        if let Some(place) = self.waiting.get_mut(number) {
            place.probes = true;
        }
    }

    /// When the call with this number is to probe the channel, given that the next probe is due at
    /// `due` and the call is among the first in the queue.
    pub(crate) fn watch(&self, number: Number, due: Instant) -> Option<Instant> {
        let rank = u32::try_from(self.rank(number)?).ok()?;
        due.checked_add(DEPUTY * rank)
    }

    /// When the call goes, now that the channel is ready.
    pub(crate) fn slot(&self, number: Number) -> Option<Instant> {
        self.waiting.get(number)?.slot
    }

    /// Sets when the call goes, unless the channel is lost before.
    pub(crate) fn goes_at(&mut self, number: Number, at: Instant) {
        if let Some(place) = self.waiting.get_mut(number) {
            place.slot = Some(at);
        }
    }

    /// The channel is ready: assigns each call in order its time to go, at `rate` per second.
    /// Returns the calls to wake.
    pub(crate) fn release(&mut self, now: Instant, rate: Option<NonZeroU32>) -> Vec<Waker> {
        // The probing call has gone. A waker may run any code on drop, so it is dropped outside the
        // lock.
        let probing = self.waiting.iter().filter(|(_, place)| place.probes);
        let gone: Vec<Number> = probing.map(|(number, _)| number).collect();
        let mut wake = Vec::new();
        for place in gone.iter().filter_map(|it| self.waiting.leave(*it)) {
            wake.extend(place.waker);
        }
        let slots = (0_u32..).map(|nth| match rate {
            // In whole milliseconds, as timers have them: calls that arrive meanwhile would
            // overtake a call that waits for less.
            Some(rate) => {
                now + Duration::from_millis(u64::from(nth) * 1_000 / u64::from(rate.get()))
            }
            None => now,
        });
        for (place, slot) in self.waiting.iter_mut().zip(slots) {
            place.slot = Some(slot);
        }
        wake.extend(self.everybody());
        wake
    }

    /// Cancels the assigned times: the channel is not ready any more.
    pub(crate) fn hold(&mut self) {
        for place in self.waiting.iter_mut() {
            place.slot = None;
        }
    }

    /// The wakers of all waiting calls, in order.
    pub(crate) fn everybody(&mut self) -> Vec<Waker> {
        let places = self.waiting.iter_mut();
        places.filter_map(|place| place.waker.take()).collect()
    }

    /// The wakers of the calls that wake on their own.
    pub(crate) fn watchers(&mut self) -> Vec<Waker> {
        self.watching(WATCHERS)
    }

    /// The wakers of all calls that could do so.
    pub(crate) fn all_watching(&mut self) -> Vec<Waker> {
        self.watching(usize::MAX)
    }

    fn watching(&mut self, most: usize) -> Vec<Waker> {
        let places = self.waiting.iter_mut().filter(|place| place.watches());
        places
            .take(most)
            .filter_map(|place| place.waker.take())
            .collect()
    }

    fn rank(&self, number: Number) -> Option<usize> {
        let places = self.waiting.iter().filter(|(_, place)| place.watches());
        places
            .take(WATCHERS)
            .position(|(waiting, _)| waiting == number)
    }
}

#[cfg(all(test, not(grpc_resilience_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDE: Bounds = Bounds {
        calls: usize::MAX,
        bytes: usize::MAX,
    };

    // CONTRACT W7
    #[test]
    fn a_full_queue_admits_no_call_until_one_leaves() {
        let bounds = Bounds {
            calls: 2,
            bytes: 10,
        };
        let mut queue = Queue::default();
        let first = queue.admit(4, 0, bounds).unwrap();
        assert_eq!(queue.admit(7, 0, bounds), None, "too many bytes");
        let second = queue.admit(6, 0, bounds).unwrap();
        assert_eq!(queue.admit(0, 0, bounds), None, "too many calls");
        queue.leave(first);
        assert!(queue.admit(4, 0, bounds).is_some());
        queue.leave(second);
        assert_eq!((queue.len(), queue.bytes()), (1, 4));
    }

    // CONTRACT W8
    #[test]
    fn those_who_wait_go_in_order_so_many_a_second() {
        let mut queue = Queue::default();
        let numbers: Vec<Number> = (0..5).map(|_| queue.admit(1, 0, WIDE).unwrap()).collect();
        queue.probes(numbers[0]);
        let now = Instant::now();
        queue.release(now, NonZeroU32::new(4));
        let slots: Vec<u128> = numbers[1..]
            .iter()
            .map(|number| (queue.slot(*number).unwrap() - now).as_millis())
            .collect();
        assert_eq!(slots, [0, 250, 500, 750]);
        assert_eq!(queue.slot(numbers[0]), None, "it went to test the channel");
    }

    /// Adds `calls` calls, each polled with this waker.
    fn line(queue: &mut Queue, calls: usize) -> Vec<Number> {
        let numbers: Vec<Number> = (0..calls).filter_map(|_| queue.admit(0, 0, WIDE)).collect();
        for number in &numbers {
            queue.wait(*number, Some(Waker::noop()));
        }
        numbers
    }

    fn watches(queue: &Queue, numbers: &[Number]) -> Vec<u128> {
        let due = Instant::now();
        let watches = numbers.iter().filter_map(|it| queue.watch(*it, due));
        watches.map(|watch| (watch - due).as_millis()).collect()
    }

    #[test]
    fn only_the_first_eight_in_line_keep_watch_one_after_the_other() {
        let mut queue = Queue::default();
        let numbers = line(&mut queue, 10);
        let all = [0, 25, 50, 75, 100, 125, 150, 175];
        assert_eq!(watches(&queue, &numbers), all);
        queue.probes(numbers[0]);
        assert_eq!(watches(&queue, &numbers), all);
        assert_eq!(queue.watch(numbers[0], Instant::now()), None);
        assert_eq!(queue.leave(numbers[9]).len(), 1, "it kept no watch");
        let woken = queue.leave(numbers[1]);
        assert_eq!(woken.len(), 7 + 1, "the others, and its own");
        for number in &numbers[2..] {
            queue.wait(*number, Some(Waker::noop()));
        }
        assert_eq!(watches(&queue, &numbers), &all[..7]);
    }

    // CONTRACT W11
    #[test]
    fn calls_that_were_woken_and_have_not_asked_since_keep_no_watch() {
        let mut queue = Queue::default();
        let numbers = line(&mut queue, 20);
        assert_eq!(queue.everybody().len(), 20);
        assert_eq!(watches(&queue, &numbers), [0_u128; 0]);
        queue.wait(numbers[15], Some(Waker::noop()));
        queue.wait(numbers[18], Some(Waker::noop()));
        assert_eq!(watches(&queue, &numbers[..15]), [0_u128; 0]);
        assert_eq!(watches(&queue, &numbers), [0, 25]);
        assert_eq!(queue.watchers().len(), 2);
    }

    proptest! {
        // CONTRACT W7
        #[test]
        fn bytes_are_those_of_the_calls_that_wait(
            steps in proptest::collection::vec((0_usize..100, any::<bool>(), any::<bool>()), 0..100),
        ) {
            let bounds = Bounds { calls: 10, bytes: 300 };
            let mut queue = Queue::default();
            let mut model: Vec<(Number, usize)> = Vec::new();
            for (bytes, leaves, releases) in steps {
                if leaves && !model.is_empty() {
                    let (number, _) = model.remove(bytes % model.len());
                    queue.leave(number);
                } else if releases && !model.is_empty() {
                    let (number, _) = model.remove(bytes % model.len());
                    queue.probes(number);
                    queue.release(Instant::now(), None);
                } else if let Some(number) = queue.admit(bytes, 0, bounds) {
                    model.push((number, bytes));
                }
                let held: usize = model.iter().map(|(_, bytes)| bytes).sum();
                prop_assert_eq!(queue.bytes(), held);
                prop_assert_eq!(queue.len(), model.len());
                prop_assert!(queue.len() <= 10 && held <= 300);
            }
        }
    }
}
