//! What an answer or a transport error means.
//!
//! Three questions decide whether a request may be sent again: did it reach the application
//! ([`Progress`]), what did the server say (code and [`Hint`]), and which event was it
//! ([`Reason`]). A [`Verdict`] answers them; [`answer`] gives it for a status, [`failure`] for an
//! error.
//!
//! Errors are judged by the *types* in their source chain, never by the code of a status made from
//! them: tonic shows a refused stream as UNAVAILABLE with its `server` feature and as UNKNOWN
//! without. The verdict is the same in both builds. A chain that holds nothing known counts as
//! [`Progress::Reached`], is UNKNOWN, and is logged once.
//!
//! | event | progress | code |
//! |---|---|---|
//! | connect failed or timed out | not sent | UNAVAILABLE |
//! | the channel's worker is gone | not sent | UNAVAILABLE |
//! | still queued as the connection closed | not sent | UNAVAILABLE |
//! | `RST_STREAM(REFUSED_STREAM)` | refused | UNAVAILABLE |
//! | `GOAWAY`, our stream above its last id | refused | UNAVAILABLE |
//! | connection lost, keepalive timeout | reached | UNAVAILABLE |
//! | other `RST_STREAM` | reached | by PROTOCOL-HTTP2's table |
//! | tonic's own timer | reached | DEADLINE_EXCEEDED |
//! | `grpc-status`, or an HTTP status without | answered | that code |

mod answer;
mod chain;
mod failure;
#[cfg(feature = "tonic")]
mod transport;
mod verdict;

pub use answer::{answer, head};
pub(crate) use chain::chain;
pub(crate) use failure::display_chain;
pub use failure::failure;
pub use verdict::{Hint, Progress, Reason, Verdict};
