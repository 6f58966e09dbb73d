//! A bound for each attempt by itself, below the deadline of the call.
//!
//! A server that hangs, or a connection that silently died, costs a call all of its deadline. With a
//! timeout for each attempt it costs that much, and the retry layer makes another attempt, on
//! another connection say. The attempt that ran into it is cancelled at once, here and at the server.
//!
//! ```
//! use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
//! use std::time::Duration;
//!
//! let layer = AttemptTimeoutLayer::new(Duration::from_millis(300))?.unbounded_last_attempt();
//! # Ok::<(), grpc_resilience::attempt_timeout::ZeroTimeout>(())
//! ```
//!
//! Per call, where the layer is: `request.call_options().attempt_timeout(Duration::from_secs(2))`, or
//! `.no_attempt_timeout()`. `AttemptTimeoutLayer::default()` bounds only calls that say so.
//!
//! - **Bounds** an attempt from when the layer is called: queueing for the inner service, dialling if
//!   that is needed, the request, until the response headers, or until the first frame of the body
//!   with [`until_first_message`](AttemptTimeoutLayer::until_first_message).
//! - **Reads** the [`CallOptions`](crate::call::CallOptions) and the deadline of the call (or the
//!   caller's `grpc-timeout`), the kind of the method, and whether another attempt can follow.
//!   **Writes** the end of the attempt as the [`Deadline`](crate::call::Deadline) that layers below
//!   see, and what is left until then into `grpc-timeout`, with a twentieth more (5 to 50 ms), as
//!   far as the call has it: so the timer of this side comes first.
//! - **Lets go on**, if the call has a deadline, an attempt of which a retry layer above says that
//!   no other can follow ([`Context::is_last_attempt`](crate::call::Context::is_last_attempt)):
//!   ending it would fail a call that may still succeed. It has what is left of the call. A stream
//!   of requests that outgrows what is kept of it makes its attempt the last while it is under way.
//!   Without a retry layer, or without a deadline, every attempt ends (CONTRACT D12).
//! - **Streams**: where the method is known to answer in a stream, the server is told what is left
//!   of the call, not of the attempt, and so lets the stream go on; the opening is bounded on this
//!   side.
//! - **Errors**: DEADLINE_EXCEEDED for
//!   [`Reason::AttemptTimedOut`](crate::classify::Reason::AttemptTimedOut). The attempt may have run,
//!   unless it still waited for the inner service. INVALID_ARGUMENT for a call that asks for a timeout of
//!   zero.
//! - **The deadline of the call** ends it where that is no later: then this layer bounds nothing,
//!   and the retry layer repeats nothing. What the server says near the end of an attempt,
//!   CANCELLED or words for it of etcd or Envoy, is the attempt's end, as with the call's deadline;
//!   the answer is the error's source, and a hint on it still binds (CONTRACT D11). Without a
//!   deadline layer it is the transport that ends the last attempt at the caller's `grpc-timeout`,
//!   as tonic's does.
//! - **Interactions**: stands below the retry layer, which repeats a timed-out attempt of a call
//!   that is declared safe, whatever the policy's codes; and below wait for ready, so that waiting for
//!   the channel is no attempt. Above a retry layer it bounds all attempts together; one WARN event
//!   says so. A dial is part of its attempt, and one that is cut may have sent the request for all
//!   that can be seen: choose a timeout that a dial fits in, or give the endpoint a shorter
//!   `connect_timeout`.
//! - **Limits**: servers that hold a stream to its `grpc-timeout`, as those of the core
//!   implementations do, end one of unknown kind at the attempt's timeout though this layer bounds
//!   no more than its beginning; its error says so. Declare the kind, or say
//!   `.no_attempt_timeout()`. The timer of the first message runs while the body is polled.

mod body;
mod bound;
mod future;
mod layer;
mod policy;
mod service;

pub use body::AttemptBody;
pub use future::ResponseFuture;
pub use layer::{AttemptTimeoutLayer, ZeroTimeout};
pub(crate) use policy::AttemptTimeoutPolicy;
pub use service::AttemptTimeout;
