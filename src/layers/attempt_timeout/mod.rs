//! A timeout for each attempt, below the deadline of the call.
//!
//! A server that hangs, or a connection that died silently, costs a call its whole deadline. With
//! an attempt timeout it costs only that timeout, and the retry layer makes another attempt, for
//! example on another connection. The timed-out attempt is cancelled at once, locally and at the
//! server.
//!
//! ```
//! use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
//! use std::time::Duration;
//!
//! let layer = AttemptTimeoutLayer::new(Duration::from_millis(300))?.unbounded_last_attempt();
//! # Ok::<(), grpc_resilience::attempt_timeout::ZeroTimeout>(())
//! ```
//!
//! Per call: `request.call_options().attempt_timeout(Duration::from_secs(2))`, or
//! `.no_attempt_timeout()`. `AttemptTimeoutLayer::default()` bounds only calls with that option.
//!
//! - **Bounds** an attempt from the call of the layer: queueing for the inner service, dialling if
//!   necessary, and the request, up to the response headers, or up to the first frame of the body
//!   with [`until_first_message`](AttemptTimeoutLayer::until_first_message).
//! - **Reads** the [`CallOptions`](crate::call::CallOptions), the deadline of the call (or the
//!   caller's `grpc-timeout`), the kind of the method, and whether another attempt can follow.
//!   **Writes** the end of the attempt as the [`Deadline`](crate::call::Deadline) for the layers
//!   below, and the time until then into `grpc-timeout`. It adds a twentieth (5 to 50 ms) within
//!   the call's deadline, so that the local timer fires first.
//! - **Does not end** an attempt of a call with a deadline if a retry layer above declares that no
//!   other can follow ([`Context::is_last_attempt`](crate::call::Context::is_last_attempt)):
//!   ending it would fail a call that may still succeed. It may use the remaining time of the call.
//!   A streaming request that outgrows its replay buffer makes its running attempt the last.
//!   Without a retry layer, or without a deadline, the timeout ends every attempt (CONTRACT D12).
//! - **Streams**: if the method is known to return a stream, the server receives the call's
//!   remaining time instead of the attempt's, and so does not end the stream; this layer bounds
//!   the opening.
//! - **Errors**: DEADLINE_EXCEEDED with
//!   [`Reason::AttemptTimedOut`](crate::classify::Reason::AttemptTimedOut). The attempt may have
//!   run, unless it still waited for the inner service. INVALID_ARGUMENT for a call whose option
//!   is zero.
//! - **The deadline of the call** takes precedence if it is not later: then this layer bounds
//!   nothing, and the retry layer repeats nothing. A status of the server near the end of an
//!   attempt, CANCELLED or those of etcd and Envoy, is the attempt's end, as with the call's
//!   deadline; the response is the error's source, and its hint still applies (CONTRACT D11).
//!   Without a deadline layer, the transport ends the last attempt at the caller's `grpc-timeout`,
//!   as tonic's does.
//! - **Interactions**: stands below the retry layer, which repeats a timed-out attempt of a call
//!   that is declared safe, with any codes in the policy; and below wait-for-ready, so that waiting
//!   for the channel is not part of an attempt. Over this crate's channel the attempt begins when
//!   it has a connection, if the call has a deadline or is an attempt of a retry layer (CONTRACT
//!   W2): without a deadline, a retried call that waits for ready waits for a dead server for ever,
//!   so set a deadline, too. Above a retry layer this layer bounds all attempts together and emits
//!   one WARN event. Over other channels a dial is part of its attempt. If the timeout cuts a dial,
//!   the layers cannot see whether the request was sent: choose a timeout that is longer than a
//!   dial, or give the endpoint a shorter `connect_timeout`.
//! - **Limits**: servers that apply `grpc-timeout` to a whole stream, as those of the core
//!   implementations do, end a stream of unknown kind at the attempt's timeout, although this layer
//!   bounds only its opening; the error states that. Declare the kind, or set
//!   `.no_attempt_timeout()`. The timer of the first message runs only while the body is polled.

mod attempt_timer;
mod body;
mod future;
mod layer;
mod policy;
mod service;

pub use body::AttemptBody;
pub use future::ResponseFuture;
pub use layer::{AttemptTimeoutLayer, ZeroTimeout};
pub(crate) use policy::AttemptTimeoutPolicy;
pub use service::AttemptTimeout;
