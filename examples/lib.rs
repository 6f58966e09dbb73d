//! Programs that show the crate on real systems; see each folder. [`orders`] is no program: it shows
//! methods as constants.

pub mod orders;
