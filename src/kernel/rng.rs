//! The only source of random numbers: the thread's generator, or a seeded one that repeats.

#[cfg(feature = "channel")]
use std::cell::RefCell;
use std::sync::Arc;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::kernel::sync::Mutex;

/// Draws the random numbers of a layer; clones of a seeded one share its sequence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rng {
    seeded: Option<Arc<Mutex<SmallRng>>>,
}

impl Rng {
    pub(crate) fn seeded(seed: u64) -> Self {
        let generator = SmallRng::seed_from_u64(seed);
        Self {
            seeded: Some(Arc::new(Mutex::new(generator))),
        }
    }

    /// Draws `N` random bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        match &self.seeded {
            Some(generator) => generator.lock().random(),
            None => rand::random(),
        }
    }

    /// Draws a random number in `[0, 1)`.
    pub(crate) fn unit(&self) -> f64 {
        match &self.seeded {
            Some(generator) => generator.lock().random(),
            None => rand::random(),
        }
    }
}

#[cfg(feature = "channel")]
thread_local! {
    static BITS: RefCell<SmallRng> = RefCell::new(SmallRng::seed_from_u64(rand::random()));
}

/// Draws 64 random bits on the hot path: a small generator of the thread's own, without a lock.
#[cfg(feature = "channel")]
#[inline]
pub(crate) fn bits() -> u64 {
    BITS.with_borrow_mut(rand::RngExt::random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "channel")]
    #[test]
    fn each_thread_draws_bits_of_its_own() {
        let here: Vec<u64> = (0..4).map(|_| bits()).collect();
        let draw = || (0..4).map(|_| bits()).collect::<Vec<u64>>();
        let there = std::thread::scope(|scope| scope.spawn(draw).join().unwrap());
        assert_ne!(here, there);
        assert_ne!(here[0], here[1]);
    }

    #[test]
    fn a_seed_repeats_its_draws() {
        let draw = |seed| {
            let rng = Rng::seeded(seed);
            (rng.unit(), rng.unit())
        };
        assert!((draw(7).0 - draw(7).0).abs() < f64::EPSILON);
        assert!((draw(7).0 - draw(8).0).abs() > f64::EPSILON);
        let (first, second) = draw(7);
        assert!((first - second).abs() > f64::EPSILON);
    }

    #[test]
    fn bytes_differ_from_draw_to_draw_and_repeat_with_the_seed() {
        let draw = || Rng::seeded(7).bytes::<16>();
        assert_eq!(draw(), draw());
        let rng = Rng::default();
        assert_ne!(rng.bytes::<16>(), rng.bytes::<16>());
    }

    #[test]
    fn draws_lie_in_the_unit_interval() {
        let rng = Rng::default();
        assert!(
            (0..1_000)
                .map(|_| rng.unit())
                .all(|unit| (0.0..1.0).contains(&unit))
        );
    }
}
