//! Ejection: an endpoint that fails calls is left out for a time (CONTRACT chapter O).
//!
//! ```text
//! end of a call -> tally -> alarm -> balancer -> ejections -> the list of ready endpoints
//!                                                    |  due
//!                           call <- gate <-----------+
//! ```
//!
//! - A call that ends writes into the [`Tally`] of its endpoint: a few atomics, no lock. Only a
//!   failure asks whether the endpoint has failed too much, and then wakes the balancer.
//! - [`Ejections`] decides, for all endpoints at once, because a decision about one depends on the
//!   others (CONTRACT O1, O4). It is pure: time and random numbers are arguments.
//! - Once the time of an ejection is over, the [`Gate`] of the endpoint lets one call through,
//!   which decides whether the endpoint is back (CONTRACT O3).

mod blame;
mod ejections;
mod gate;
mod rules;
mod settings;
mod tally;
mod term;
mod window;

pub(super) use blame::Blame;
pub(super) use ejections::{Back, Ejected, Ejections, Seen, Step};
pub(super) use rules::Rules;
pub use settings::Ejection;
pub(super) use tally::Tally;
