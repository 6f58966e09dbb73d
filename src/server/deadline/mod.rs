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
//! - **Reads** `grpc-timeout`. **Writes** [`ParentCall`](crate::call::ParentCall) into the extensions of the
//!   request, and around the handler for calls made in its task.
//! - **Default**: a margin of 5 ms; no timeout for calls that bring none.
//! - **Answers**: DEADLINE_EXCEEDED at the deadline, as Trailers-Only or, once the answer has begun, in its
//!   trailers; the same at once, without the handler, for a call whose time was up when it came;
//!   INTERNAL, without the handler, for a malformed `grpc-timeout` (CONTRACT D4). What had expired
//!   when it came is marked as without effect, `grpc-resilience-unprocessed`;
//!   from what the handler returns that mark is taken out, for a handler may hand on somebody
//!   else's status (I7).
//! - **Cancellation**: a call that its caller drops is dropped here by tonic, and the calls made on its
//!   behalf end with it, those of tasks that carry [`ParentCall`](crate::call::ParentCall) too.
//! - **Place**: on a server; a request that a client of the same process made is one WARN event.
//!   Outermost there. tonic's own timer starts with the call and answers CANCELLED; a layer above
//!   that delays the call gives it the lead.
//! - **Time** comes from the runtime that polls, or else from that in which the layer was put over
//!   the service or first called; once that is over, a call with a timeout is answered INTERNAL
//!   (D13).
//! - **Limits**: a handler that blocks its thread stops when it next yields. A response that the caller
//!   has no room for is not polled, so it makes nothing more, but is dropped only when the caller reads
//!   on, resets it or goes away.

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
