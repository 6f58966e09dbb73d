//! Calls that wait for a channel which is down.

mod adversity;
mod asleep;
mod dials;
mod endpoints;
mod expiry;
mod first;
mod handed_back;
mod methods;
mod patience;
mod probe;
mod queue;
mod readiness;
mod started_before;
mod streams;
mod unheard;
