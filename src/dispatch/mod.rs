//! Handing a request to the inner service once that is ready: the one way in which layers do it.
//!
//! Every layer's `poll_ready` answers "ready": generated clients flatten a readiness error, and
//! readiness knows no deadline. [`Readied`] polls the inner service and remembers what it found;
//! [`Attempt`] waits for readiness inside the call's future if it must. The service that was found
//! ready is the one that is called; one that was not goes with the call, and its clone stays
//! behind. What comes back goes up through [`received`] and [`Seen::tidy`], and a [`Recorder`]
//! writes it down; a [`Head`] is what is kept of a request to send it again.

mod answer_body;
mod attempt;
mod essentials;
mod extras;
mod guard;
mod head;
mod hold;
mod readied;
mod recorder;
mod response;
mod spare;

pub(crate) use answer_body::{AnswerBody, broken, passed};
pub(crate) use attempt::Attempt;
pub(crate) use essentials::Essentials;
pub(crate) use extras::Extras;
pub(crate) use guard::{always_guard, guard};
pub(crate) use head::Head;
pub(crate) use hold::hold;
pub(crate) use readied::Readied;
pub(crate) use recorder::{Passing, Recorder};
pub(crate) use response::and_held;
pub(crate) use response::{Read, Seen, failure_of, received};
pub(crate) use spare::Spare;
