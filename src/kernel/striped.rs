//! Counters that threads do not share.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Threads beyond this number share a stripe.
pub(crate) const STRIPES: usize = 16;

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(STRIPES) };
}

/// The stripe of this thread.
#[inline]
pub(crate) fn stripe() -> usize {
    let stripe = STRIPE.get();
    if stripe < STRIPES { stripe } else { choose() }
}

#[cold]
fn choose() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let stripe = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    STRIPE.set(stripe);
    stripe
}

/// One `Arc<T>` per thread, to avoid contention on its counter.
///
/// A counter that two threads write moves between their caches with each call, which costs more
/// than most other steps of a call. The `thread_local` crate would require `Send`, which a channel
/// need not be.
pub(crate) struct Striped<T>([OnceLock<Arc<T>>; STRIPES]);

impl<T> Striped<T> {
    pub(crate) fn new() -> Self {
        Self([const { OnceLock::new() }; STRIPES])
    }

    /// The value of this thread's stripe.
    #[inline]
    pub(crate) fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let new = || Arc::new(make());
        match self.0.get(stripe()) {
            Some(slot) => Arc::clone(slot.get_or_init(new)),
            None => new(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Striped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().filter_map(OnceLock::get))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_own_and_of_few_threads_each_has_another() {
        let striped = Striped::new();
        let here = striped.get(|| 1);
        assert!(Arc::ptr_eq(&here, &striped.get(|| 2)));
        let there = std::thread::scope(|scope| scope.spawn(|| striped.get(|| 3)).join().unwrap());
        assert_eq!((*here, *there), (1, 3));
    }
}
