//! A server's quotas: who is let through, and what the others are told.

pub(crate) mod door;
mod flood;
mod hints;
mod identity;
mod keys;
mod laws;
mod load;
mod promises;
mod returning;
mod threads;
