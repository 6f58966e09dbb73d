//! Handing a request to the inner service once that is ready: the one way in which layers do it.
//!
//! Every layer's `poll_ready` answers "ready": generated clients flatten a readiness error, and
//! readiness knows no deadline. [`Readied`] polls the inner service and remembers what it found;
//! [`Attempt`] waits for readiness inside the call's future if it must. The service that was
//! found ready is the one that is called, its clone stays behind for later calls. What comes back
//! goes up through [`received`] and [`tidy`], and a [`Recorder`] writes it down.

mod attempt;
mod readied;
mod recorder;
mod response;

pub(crate) use attempt::Attempt;
pub(crate) use readied::{Lease, Readied};
pub(crate) use recorder::Recorder;
pub(crate) use response::{received, tidy};
