//! What an answer or a transport error means.
//!
//! Three questions decide whether a request may be sent again: did it reach the application
//! ([`Progress`]), what did the server say (code and [`Hint`]), and which event was it
//! ([`Reason`]). A [`Verdict`] answers them; [`failure`] gives it for an error, [`head`] and
//! [`trailers`] for what a server sent, [`answer`] for its status. A layer of your own can ask too:
//!
//! ```
//! use grpc_resilience::classify::{self, Progress};
//!
//! /// Whether an attempt says that its connection is bad, for a layer that drops such ones.
//! fn is_the_connection_s_fault<B>(
//!     outcome: &Result<http::Response<B>, tonic::transport::Error>,
//! ) -> bool {
//!     let verdict = match outcome {
//!         Ok(response) => classify::head(response.status(), response.headers()).map(|it| it.0),
//!         Err(error) => Some(classify::failure(error)),
//!     };
//!     verdict.is_some_and(|verdict| {
//!         tracing::debug!(progress = ?verdict.progress, reason = verdict.reason.name());
//!         verdict.progress != Progress::Answered
//!     })
//! }
//! ```
//!
//! Such a layer stands below the layers of this crate, where the transport's own errors are; an
//! [`Error`](crate::Error) of ours has its [`verdict`](crate::Error::verdict).
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
//! | tower's `LoadShed` shed it | not sent | RESOURCE_EXHAUSTED |
//! | tower's `Buffer` is closed, or its discovery failed | not sent | UNAVAILABLE |
//! | `RST_STREAM(REFUSED_STREAM)` | refused | UNAVAILABLE |
//! | `GOAWAY`, our stream above its last id | refused | UNAVAILABLE |
//! | the same, where the layers can't know it (CONTRACT I4b) | reached | UNAVAILABLE |
//! | a failed connect, after something had read the request (I4c) | reached | UNAVAILABLE |
//! | connection lost, keepalive timeout | reached | UNAVAILABLE |
//! | other `RST_STREAM` | reached | by PROTOCOL-HTTP2's table |
//! | tonic's own timer, the attempt timeout layer's, tower's `Timeout` | reached | DEADLINE_EXCEEDED |
//! | the same, before the request was handed on | not sent | DEADLINE_EXCEEDED |
//! | near such an end, the server's words for it (CONTRACT D11) | reached | DEADLINE_EXCEEDED |
//! | a failure of [`Channel`](crate::channel::Channel) | what its connections know | by the event |
//! | an answer that ended without `grpc-status` | reached | UNKNOWN |
//! | `grpc-status`, or an HTTP status without | answered | that code |
//! | the same, and the server's trusted word that the request had no effect (I7) | unprocessed | that code |
//! | a `grpc-status` that is no code | answered | UNKNOWN |
//!
//! tower's layers are known by their types, as tonic, hyper and h2 are: this crate depends on tower
//! with the features that tonic turns on for its channel, and on `timeout`. The errors of other
//! layers of tower are the inner service's own, or, as those of a `Filter`'s predicate, the user's:
//! a status counts as such, and anything else as [`Progress::Reached`]. A `LoadShed` over a
//! `ConcurrencyLimit` keeps the place in line of each clone that was shed until that clone is
//! called again or dropped; a limit that lets no idle clone wait, such as one by a counter, sheds
//! less.

mod answer;
mod chain;
mod connect_fault;
mod endpoint;
mod evidence;
mod expiry;
mod failure;
mod size_limit;
#[cfg_attr(not(feature = "tonic"), path = "no_transport.rs")]
mod transport;
#[cfg(feature = "channel")]
mod transport_error;
mod verdict;

pub use answer::{answer, head, no_status, trailers};
pub(crate) use chain::chain;
pub use connect_fault::ConnectFault;
pub use endpoint::Endpoint;
pub(crate) use evidence::Doubt;
pub(crate) use expiry::Expiry;
pub(crate) use expiry::may_be_expiry;
pub(crate) use failure::display_chain;
pub(crate) use failure::display_chain_until;
pub use failure::failure;
#[cfg(feature = "channel")]
pub(crate) use transport::code_of;
#[cfg(feature = "channel")]
pub use transport_error::TransportError;
pub use verdict::{Hint, Progress, Reason, Verdict};
