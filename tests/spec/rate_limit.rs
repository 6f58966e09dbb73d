//! A server's quotas: who is let through, and what the others are told.

mod flood;
mod keys;
mod laws;
mod load;
mod our_clients;
mod pass_through;
mod promises;
pub(crate) mod raw_service;
mod refusals;
mod threads;
