//! What happened to a call, and why it ended as it did.

mod give_up;
mod trace;

pub use give_up::GiveUp;
pub use trace::{Phase, Trace};
