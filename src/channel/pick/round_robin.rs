use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Call, Picker, Ready};
use crate::kernel::rng;
use crate::kernel::striped::{STRIPES, stripe};

/// Picks one endpoint after another, from a random start.
///
/// Each thread goes round by itself, so that threads do not contend for one counter: of n calls in
/// a row of one thread over n ready endpoints, each gets exactly one. Calls of several threads are
/// as even, give or take one call for each thread. Threads beyond 16 share the rounds of others.
///
/// ```
/// use grpc_resilience::channel::pick::RoundRobin;
///
/// let picker = RoundRobin::new();
/// ```
pub struct RoundRobin {
    turns: [Turn; STRIPES],
}

/// The next turn of one thread, on cache lines of its own.
#[repr(align(128))]
struct Turn(AtomicUsize);

impl RoundRobin {
    /// A picker whose threads all start at random.
    #[must_use]
    pub fn new() -> Self {
        let start = |_| Turn(AtomicUsize::new((rng::bits() >> 40) as usize));
        Self {
            turns: std::array::from_fn(start),
        }
    }
}

impl Picker for RoundRobin {
    #[inline]
    fn pick(&self, ready: &Ready<'_>, _call: &Call<'_>) -> usize {
        let Some(Turn(turn)) = self.turns.get(stripe()) else {
            return 0;
        };
        turn.fetch_add(1, Ordering::Relaxed) % ready.len().max(1)
    }
}

impl Default for RoundRobin {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RoundRobin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoundRobin").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::ready::tests::{LATER, endpoints, head};
    use super::*;

    fn picks(picker: &RoundRobin, ready: &Ready<'_>, count: usize) -> Vec<usize> {
        let head = head();
        let call = Call::new(&head, None, LATER);
        (0..count).map(|_| picker.pick(ready, &call)).collect()
    }

    proptest! {
        // CONTRACT L4
        #[test]
        fn n_calls_of_one_thread_go_to_n_endpoints_in_their_order(
            count in 1_usize..50,
            before in 0_usize..50,
        ) {
            let all = endpoints(count);
            let ready = Ready::new(&all, &[]);
            let picker = RoundRobin::new();
            picks(&picker, &ready, before);
            let picked = picks(&picker, &ready, count);
            for pair in picked.windows(2) {
                prop_assert_eq!(pair[1], (pair[0] + 1) % count);
            }
            let once: BTreeSet<usize> = picked.iter().copied().collect();
            prop_assert_eq!(once.len(), count);
        }
    }

    // CONTRACT L4
    #[test]
    fn each_picker_starts_anywhere() {
        let all = endpoints(1_000);
        let ready = Ready::new(&all, &[]);
        let first = |_| picks(&RoundRobin::new(), &ready, 1)[0];
        let starts: BTreeSet<usize> = (0..20).map(first).collect();
        assert!(starts.len() > 10, "{starts:?}");
    }

    // CONTRACT L4
    #[test]
    fn each_thread_goes_round_by_itself() {
        let all = endpoints(4);
        let picker = RoundRobin::new();
        let together = std::sync::Barrier::new(2);
        let run = || {
            let ready = Ready::new(&all, &[]);
            let mut count = [0; 4];
            for _ in 0..100 {
                // With one counter for both, each thread would come to every other endpoint.
                together.wait();
                count[picks(&picker, &ready, 1)[0]] += 1;
            }
            assert_eq!(count, [25; 4]);
        };
        std::thread::scope(|scope| {
            scope.spawn(run);
            scope.spawn(run);
        });
    }
}
