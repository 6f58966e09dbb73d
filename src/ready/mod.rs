//! The queue of waiting calls, and the state of a channel as calls have shown it. Private, except
//! for the readiness handle, which [`wait_for_ready`](crate::wait_for_ready) exports.

mod alarm;
mod channel;
mod connectivity;
mod evidence;
pub(crate) mod failure;
mod finding;
mod gate;
mod gate_state;
mod line;
mod log;
mod losses;
mod outage;
mod policy;
mod probe_watch;
mod probing;
mod queue;
mod readiness;
mod running_probe;
mod settings;
mod several;
#[cfg(feature = "channel")]
mod slot_queue;
mod streak;
mod ticket;

pub use connectivity::ConnectivityState;
pub(crate) use gate::Gate;
pub(crate) use gate_state::{Caller, Decision, OFTEN, Place, Probe};
#[cfg(feature = "channel")]
pub(crate) use line::Bounds;
pub(crate) use policy::{Evidence, WaitForReadyPolicy};
pub(crate) use probe_watch::{Heard, Polled};
pub use readiness::{Readiness, ReadinessSnapshot};
pub(crate) use settings::Settings;
#[cfg(feature = "channel")]
pub(crate) use slot_queue::{SlotQueue, Waiter};
pub(crate) use ticket::{ConnectionWatch, Ticket};
