//! The basis of all other modules: time, random numbers, locks and atomics. Private.

pub(crate) mod clock;
pub(crate) mod rng;
pub(crate) mod striped;
pub(crate) mod sync;
pub(crate) mod timer;
pub(crate) mod window;
