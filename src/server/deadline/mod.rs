//! Stops the work on a call at its caller's deadline.
//!
//! [`ServerDeadlineLayer`] wraps the services of a tonic server. It reads the caller's
//! `grpc-timeout`, drops the handler and the response at that instant, and answers
//! DEADLINE_EXCEEDED. tonic's own server stops too, but answers CANCELLED, and does not stop a
//! response that has begun. Calls that the handler makes through a channel with
//! [`DeadlineLayer`](crate::DeadlineLayer) inherit the deadline, less a margin.
//!
//! A tonic client without that layer still sees CANCELLED, because its own timer fires at about
//! the time of the answer and takes precedence. It sees an answer that the handler gives earlier,
//! for example when a call of the handler expires, a margin before the deadline.
//!
//! ```
//! use grpc_resilience::server_deadline::ServerDeadlineLayer;
//! use std::time::Duration;
//!
//! let layer = ServerDeadlineLayer::new().margin(Duration::from_millis(20));
//! // tonic::transport::Server::builder().layer(layer).add_service(..)
//! ```
//!
//! - **Reads** `grpc-timeout`. **Writes** [`ParentCall`](crate::call::ParentCall) into the
//!   extensions of the request, and sets it around the handler for calls made in its task.
//! - **Default**: a margin of 5 ms; no timeout for calls without `grpc-timeout`.
//! - **Responses**: DEADLINE_EXCEEDED at the deadline, as Trailers-Only or, once the response has
//!   begun, in its trailers; DEADLINE_EXCEEDED at once, without the handler, for a call that
//!   arrives after its deadline; INTERNAL, without the handler, for a malformed `grpc-timeout`
//!   (CONTRACT D4). A call that had expired on arrival is marked as without effect,
//!   `grpc-resilience-unprocessed`. The layer removes that mark from the
//!   responses of handlers, because a handler may return another server's status (I7).
//! - **Cancellation**: tonic drops a call that its caller drops. The calls of its handler end with
//!   it, including those of tasks that carry [`ParentCall`](crate::call::ParentCall).
//! - **Place**: outermost on a server. tonic's own timer starts with the call and answers
//!   CANCELLED; a layer above that delays the call lets tonic's timer fire first. A request from a
//!   client of the same process causes one WARN event.
//! - **Time** comes from the runtime that polls, or else from the runtime in which the layer
//!   wrapped the service or was first called. Once that runtime is over, a call with a timeout is
//!   answered INTERNAL (D13).
//! - **Limits**: a handler that blocks its thread stops when it next yields. A response for which
//!   the caller has no flow-control window is not polled, so it produces nothing more, but it is
//!   dropped only when the caller reads on, resets it or goes away.

mod body;
mod client;
mod future;
mod layer;
mod policy;
mod service;
mod watch;

pub use body::ServerDeadlineBody;
pub use future::ResponseFuture;
pub use layer::ServerDeadlineLayer;
use policy::{HandlerDeadline, ServerDeadlinePolicy};
pub use service::ServerDeadline;
