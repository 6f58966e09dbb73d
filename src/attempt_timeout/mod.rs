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
//!   caller's `grpc-timeout`). **Writes** the end of the attempt as the [`Deadline`](crate::call::Deadline)
//!   that layers below see, and what is left until then into `grpc-timeout`.
//! - **Errors**: DEADLINE_EXCEEDED for
//!   [`Reason::AttemptTimedOut`](crate::classify::Reason::AttemptTimedOut). The attempt may have run,
//!   unless it still waited for the inner service. INVALID_ARGUMENT for a call that asks for a timeout of
//!   zero.
//! - **The deadline of the call** ends it where that is no later: then this layer bounds nothing, and the
//!   retry layer repeats nothing. What says CANCELLED or DEADLINE_EXCEEDED with at most 5 ms of an
//!   attempt left is the attempt's end, as with the deadline (CONTRACT D11).
//! - **Interactions**: stands below the retry layer, which repeats a timed-out attempt of a call
//!   that is declared safe, whatever the policy's codes; and below wait for ready, so that waiting for
//!   the channel is no attempt. Above a retry layer it bounds all attempts together; one WARN event says so. A dial is part of
//!   its attempt, and one that is cut may have sent the request for all that can be seen: choose a
//!   timeout that a dial fits in, or give the endpoint a shorter `connect_timeout`.
//! - **Limits**: servers that hold a stream to its `grpc-timeout`, as those of the core implementations
//!   do, end it at the attempt's timeout though this layer bounds no more than its beginning: say
//!   `.no_attempt_timeout()` for long streams. The timer of the first message runs while the body
//!   is polled.

mod body;
mod bound;
mod future;
mod layer;
mod policy;
mod service;

pub use body::AttemptBody;
pub use future::ResponseFuture;
pub use layer::{AttemptTimeoutLayer, ZeroTimeout};
pub use policy::AttemptTimeoutPolicy;
pub use service::AttemptTimeout;
