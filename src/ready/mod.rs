//! Who waits for a channel, in which order, and what calls have shown of its state. Private, but
//! for the readiness handle, which [`wait_for_ready`](crate::wait_for_ready) exports.

mod alarm;
mod channel;
mod connectivity;
mod door;
pub(crate) mod failure;
mod finding;
mod gate;
mod log;
mod losses;
mod news;
mod outage;
mod pass;
mod policy;
mod probing;
mod queue;
mod readiness;
mod settings;
mod several;
mod streak;
mod test;
mod watch;

pub use connectivity::ConnectivityState;
pub(crate) use door::Door;
pub(crate) use gate::{Caller, OFTEN, Probe, Seat, Turn};
pub(crate) use pass::{Pass, Watch};
pub use policy::{News, WaitForReadyPolicy};
pub use readiness::{Readiness, ReadinessSnapshot};
pub(crate) use settings::Settings;
pub(crate) use watch::{Heard, Polled};
