//! The health gate: gRPC's health checking protocol over each connection (CONTRACT chapter G).
//!
//! ```text
//! dial -> connection -> Watch -> Answer -> subchannel -> balancer
//! ```
//!
//! [`Judge`](judge::Judge) decides what a message or an end of the watch means, and when to watch
//! again. [`Watch`] carries that out on one connection, below the pickers: it takes no slot of a
//! call, and nothing that counts calls sees it (CONTRACT G4).

mod answer;
mod error;
mod judge;
mod message;
mod panic;
mod status;
mod watch;

pub(super) use answer::Answer;
pub use error::Unhealthy;
pub(super) use panic::Panic;
pub use status::Health;
pub(super) use watch::{Check, Watch};
