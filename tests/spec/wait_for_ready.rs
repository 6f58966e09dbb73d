//! Calls that wait for a channel which is down.

mod dials;
mod endpoints;
mod expiry;
mod patience;
mod probe;
mod streams;
