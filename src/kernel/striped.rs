//! Counters that threads do not share.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// More threads than this share some.
const STRIPES: usize = 16;

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(STRIPES) };
}

/// That of this thread.
#[inline]
fn stripe() -> usize {
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

/// What calls on all threads hold, for each thread in an [`Arc`] of its own.
///
/// A counter that two threads write goes from one's cache to the other's and back with each call, which
/// takes longer than most of what else a call does. (`thread_local` would do the same for `Send` types,
/// which a channel need not be.)
pub(crate) struct Striped<T>([OnceLock<Arc<T>>; STRIPES]);

impl<T> Striped<T> {
    pub(crate) fn new() -> Self {
        Self([const { OnceLock::new() }; STRIPES])
    }

    /// That of this thread.
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
