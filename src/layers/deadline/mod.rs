//! One absolute deadline for a call, in every phase of the call.
//!
//! [`DeadlineLayer`] takes the earliest of: the caller's `Request::set_timeout`, the call's own
//! option (or else the layer's default), the deadline of the parent call (see
//! [`ParentCall`](crate::call::ParentCall)), and a deadline that the context already holds.
//! Of several `grpc-timeout` headers the first one counts.
//! The deadline bounds everything below the layer: queueing, connecting, waiting, backing off,
//! attempts, and the response body up to its last trailer. Expiry is DEADLINE_EXCEEDED with a
//! message that names the phase, and the last failure as its source.
//!
//! ```
//! use grpc_resilience::DeadlineLayer;
//! use std::time::Duration;
//!
//! let layer = DeadlineLayer::new().default_timeout(Duration::from_secs(5));
//! ```
//!
//! - **Reads** `grpc-timeout` and the [`CallOptions`](crate::call::CallOptions).
//!   **Writes** the [`Deadline`](crate::call::Deadline) into the context and the remaining time
//!   into `grpc-timeout`, unless the caller sent one `grpc-timeout` header that equals it. Layers
//!   below that delay the request write the header again.
//! - **Default**: no timeout, as in gRPC; the layer then does nothing.
//!   [`forbid_missing_deadline`](DeadlineLayer::forbid_missing_deadline) fails such calls.
//! - **Nested calls**: a call made while its process serves another call ends with CANCELLED when
//!   that parent call ends, also in a task that carries [`ParentCall`](crate::call::ParentCall).
//! - **Errors**: DEADLINE_EXCEEDED on expiry; INTERNAL at once for a malformed `grpc-timeout` from
//!   the caller (CONTRACT D4).
//! - **Interactions**: stands above the layers that it bounds. Servers and proxies end a call
//!   at the `grpc-timeout` that they received, or a little earlier, with different statuses:
//!   before the deadline is the expiry, and so are UNKNOWN and UNAVAILABLE in the words of etcd
//!   ("context deadline exceeded") and Envoy ("upstream request timeout"), for which it is at least
//!   25 ms. The answer is the error's source, and its hint is in the verdict (CONTRACT D11).
//! - **Limits**: if the inner body is always ready, a stream is cut at the next message. The timer
//!   of a finished call stays registered for the next call on the thread. A test that pauses the
//!   clock must do so before its first call, as `start_paused` does; otherwise the clock may
//!   auto-advance to that timer once the runtime is idle.

mod body;
mod deadline_timer;
mod future;
mod layer;
mod plan;
mod policy;
mod service;
mod timeout_header;
mod timer;

pub use body::DeadlineBody;
pub use future::ResponseFuture;
pub use layer::DeadlineLayer;
use policy::DeadlinePolicy;
pub use service::Deadline;

pub(crate) use deadline_timer::DeadlineTimer;
pub(crate) use plan::EndsBy;
