//! What an answer or a transport error means.
//!
//! Three questions decide whether a request may be sent again: did it reach the application
//! ([`Progress`]), what did the server say (code and [`Hint`]), and which event was it
//! ([`Reason`]). A [`Verdict`] answers them. An [`Error`](crate::Error) of this crate has its
//! [`verdict`](crate::Error::verdict); a retry [`Policy`](crate::retry::Policy) gets that of each
//! failed attempt in its [`Outcome`](crate::retry::Outcome).
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

pub(crate) mod answer;
mod chain;
mod connect_fault;
mod endpoint;
mod evidence;
mod expiry;
pub(crate) mod failure;
mod size_limit;
#[cfg_attr(not(feature = "tonic"), path = "no_transport.rs")]
mod transport;
#[cfg(feature = "channel")]
mod transport_error;
mod verdict;

pub(crate) use answer::{head, no_status, trailers};
pub(crate) use chain::chain;
pub use connect_fault::ConnectFault;
pub use endpoint::Endpoint;
pub(crate) use evidence::Doubt;
pub(crate) use expiry::Expiry;
pub(crate) use expiry::may_be_expiry;
pub(crate) use failure::display_chain;
pub(crate) use failure::display_chain_until;
pub(crate) use failure::failure;
#[cfg(feature = "channel")]
pub(crate) use transport::code_of;
#[cfg(feature = "channel")]
pub use transport_error::TransportError;
pub use verdict::{Hint, Progress, Reason, Verdict};
