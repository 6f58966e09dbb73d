use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Waiting calls in order of arrival, bounded by their number and by the bytes of their requests.
/// Pure. The two queues of this crate are built on it: [`Queue`](super::queue::Queue) for calls
/// that wait for a channel to become ready, and [`SlotQueue`](super::slot_queue::SlotQueue) for
/// calls that wait for a stream of a connection.
#[derive(Debug)]
pub(crate) struct Line<T> {
    places: BTreeMap<Number, Place<T>>,
    /// Calls whose turn it is. They still count, and may step back in.
    out: BTreeMap<Number, Place<T>>,
    bytes: usize,
    last: u64,
}

#[derive(Debug)]
struct Place<T> {
    bytes: usize,
    call: T,
}

/// A place in the line. A call that a connection took without processing returns to its first
/// place, ahead of all calls that returned less often. Otherwise a channel whose connections end
/// after a few calls each could refuse the same call again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number {
    returns: Reverse<u32>,
    arrival: u64,
}

/// How many calls may wait, and the total size of their requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) calls: usize,
    pub(crate) bytes: usize,
}

/// The default bounds of both queues.
impl Default for Bounds {
    fn default() -> Self {
        Self {
            // A few seconds of a busy client's calls. Small ones take some 32 MB below
            // wait-for-ready, and 50 MB below all layers (its page).
            calls: 10_000,
            // A share of memory that a container can be expected to spare.
            bytes: 64 * 1024 * 1024,
        }
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            places: BTreeMap::new(),
            out: BTreeMap::new(),
            bytes: 0,
            last: 0,
        }
    }
}

impl<T> Line<T> {
    /// All calls, those whose turn it is among them.
    pub(crate) fn len(&self) -> usize {
        self.places.len() + self.out.len()
    }

    /// The size of the requests of all calls.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a call that returned `returns` times; `None` if the line is full.
    pub(crate) fn admit(
        &mut self,
        bytes: usize,
        returns: u32,
        bounds: Bounds,
        call: T,
    ) -> Option<Number> {
        let sum = self.bytes.checked_add(bytes)?;
        if self.len() >= bounds.calls || sum > bounds.bytes {
            return None;
        }
        self.bytes = sum;
        self.last += 1;
        let number = Number {
            returns: Reverse(returns),
            arrival: self.last,
        };
        self.places.insert(number, Place { bytes, call });
        Some(number)
    }

    /// Releases a call's place.
    pub(crate) fn leave(&mut self, number: Number) -> Option<T> {
        let place = self.places.remove(&number);
        let place = place.or_else(|| self.out.remove(&number))?;
        self.bytes -= place.bytes;
        Some(place.call)
    }

    pub(crate) fn has(&self, number: Number) -> bool {
        self.places.contains_key(&number)
    }

    pub(crate) fn get(&self, number: Number) -> Option<&T> {
        self.places.get(&number).map(|place| &place.call)
    }

    pub(crate) fn get_mut(&mut self, number: Number) -> Option<&mut T> {
        self.places.get_mut(&number).map(|place| &mut place.call)
    }

    /// The calls that wait for their turn, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Number, &T)> {
        let places = self.places.iter();
        places.map(|(number, place)| (*number, &place.call))
    }

    /// The calls that wait for their turn, in order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.values_mut().map(|place| &mut place.call)
    }
}

/// For calls that are woken to look for a stream, and find none.
#[cfg(feature = "channel")]
impl<T> Line<T> {
    /// The calls that wait for their turn.
    pub(crate) fn in_line(&self) -> usize {
        self.places.len()
    }

    /// It is the first call's turn. It keeps its number, so it can step back in where it was.
    pub(crate) fn step_out(&mut self) -> Option<&T> {
        let (number, place) = self.places.pop_first()?;
        Some(&self.out.entry(number).or_insert(place).call)
    }

    /// The call waits on, ahead of all calls that came after it.
    pub(crate) fn step_in(&mut self, number: Number) {
        if let Some(place) = self.out.remove(&number) {
            self.places.insert(number, place);
        }
    }
}

#[cfg(all(test, not(grpc_resilience_loom)))]
mod tests {
    use super::*;

    const WIDE: Bounds = Bounds {
        calls: usize::MAX,
        bytes: usize::MAX,
    };

    fn order(line: &Line<char>) -> String {
        line.iter().map(|(_, call)| *call).collect()
    }

    // CONTRACT W7
    #[test]
    fn a_full_line_admits_no_call_until_one_leaves() {
        let bounds = Bounds {
            calls: 2,
            bytes: 10,
        };
        let mut line = Line::default();
        let first = line.admit(4, 0, bounds, 'a').unwrap();
        assert_eq!(line.admit(7, 0, bounds, 'b'), None, "too many bytes");
        let second = line.admit(6, 0, bounds, 'b').unwrap();
        assert_eq!(line.admit(0, 0, bounds, 'c'), None, "too many calls");
        line.step_out();
        assert_eq!(line.admit(0, 0, bounds, 'c'), None, "one has its turn only");
        assert_eq!(line.leave(first), Some('a'));
        assert!(line.admit(4, 0, bounds, 'c').is_some());
        assert_eq!(line.leave(second), Some('b'));
        assert_eq!((line.len(), line.in_line(), line.bytes()), (1, 1, 4));
        assert_eq!(line.leave(second), None);
    }

    // CONTRACT W8
    #[test]
    fn a_call_that_steps_back_in_stands_where_it_was() {
        let mut line = Line::default();
        let numbers = ['a', 'b', 'c'].map(|call| line.admit(1, 0, WIDE, call).unwrap());
        assert_eq!(line.step_out(), Some(&'a'));
        assert_eq!(line.step_out(), Some(&'b'));
        assert_eq!(
            (order(&line), line.in_line(), line.len()),
            ("c".into(), 1, 3)
        );
        line.step_in(numbers[1]);
        line.step_in(numbers[0]);
        assert_eq!(order(&line), "abc");
        line.admit(1, 1, WIDE, 'd').unwrap();
        assert_eq!(order(&line), "dabc", "it returned from a connection");
    }
}
