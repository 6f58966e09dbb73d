//! Classifies an answer or a transport error.
//!
//! Three questions decide whether a request may be sent again: did it reach the application
//! ([`Progress`]), what did the server say (code and [`Hint`]), and which event was it
//! ([`Reason`]). A [`Verdict`] answers them. An [`Error`](crate::Error) of this crate has its
//! [`verdict`](crate::Error::verdict); a retry [`Policy`](crate::retry::Policy) gets that of each
//! failed attempt in its [`Outcome`](crate::retry::Outcome).
//!
//! Errors are judged by the *types* in their source chain, never by the code of a status made from
//! them: tonic shows a refused stream as UNAVAILABLE with its `server` feature and as UNKNOWN
//! without. The verdict is the same in both builds. A chain without a known type is
//! [`Progress::Reached`] and UNKNOWN, and is logged once.
//!
//! | event | progress | code |
//! |---|---|---|
//! | connect failed or timed out | not sent | UNAVAILABLE |
//! | the channel's worker is gone | not sent | UNAVAILABLE |
//! | still queued when the connection closed | not sent | UNAVAILABLE |
//! | tower's `LoadShed` shed it | not sent | RESOURCE_EXHAUSTED |
//! | tower's `Buffer` is closed, or its discovery failed | not sent | UNAVAILABLE |
//! | `RST_STREAM(REFUSED_STREAM)` | refused | UNAVAILABLE |
//! | `GOAWAY`, our stream above its last id | refused | UNAVAILABLE |
//! | such a `GOAWAY` that proves nothing for this request (CONTRACT I4b) | reached | UNAVAILABLE |
//! | a failed connect after a layer had read the request (I4c) | reached | UNAVAILABLE |
//! | connection lost, keepalive timeout | reached | UNAVAILABLE |
//! | other `RST_STREAM` | reached | by PROTOCOL-HTTP2's table |
//! | a timer: tonic's, tower's or the attempt timeout layer's | reached | DEADLINE_EXCEEDED |
//! | such a timer, before the request was handed on | not sent | DEADLINE_EXCEEDED |
//! | near such an end, the server's report of it (CONTRACT D11) | reached | DEADLINE_EXCEEDED |
//! | a failure of [`Channel`](crate::channel::Channel) | as its connections prove | by the event |
//! | an answer that ended without `grpc-status` | reached | UNKNOWN |
//! | `grpc-status`, or an HTTP status without | answered | that code |
//! | such a status with a trusted mark "unprocessed" (CONTRACT I7) | unprocessed | that code |
//! | an invalid `grpc-status` | answered | UNKNOWN |
//!
//! tower's layers are known by their types, as tonic, hyper and h2 are: this crate depends on tower
//! with the features that tonic enables for its channel, and with `timeout`. Other layers of tower
//! return the inner service's errors, or the user's, such as those of a `Filter`'s predicate: a
//! status counts as a status, any other error as [`Progress::Reached`].
//!
//! A clone of a `LoadShed` over a `ConcurrencyLimit` keeps its place in the queue after it was
//! shed, until it is called again or dropped. A limit in which idle clones hold no place, such as a
//! plain counter, sheds less.

pub(crate) mod answer;
mod chain;
mod connect_fault;
mod endpoint;
mod evidence;
mod expiry;
pub(crate) mod failure;
mod size_limit;
#[cfg_attr(not(feature = "tonic"), path = "no_tonic_transport.rs")]
mod tonic_transport;
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
pub(crate) use tonic_transport::code_of;
#[cfg(feature = "channel")]
pub use transport_error::TransportError;
pub use verdict::{Hint, Progress, Reason, Verdict};
