//! Sends a call again when that helps and can't hurt.
//!
//! [`RetryLayer`] repeats unary and server-streaming calls as gRFC A6 says: exponential backoff
//! with jitter, retryable codes, server pushback and `RetryInfo`, `grpc-previous-rpc-attempts`,
//! transparent retries of what never ran. Whether a call that may have run is repeated depends on
//! what is declared of it, see [`Safety`](crate::call::Safety): nothing declared, no repetition.
//!
//! ```
//! use grpc_resilience::backoff::{Exponential, Jitter};
//! use grpc_resilience::grpc::Code;
//! use grpc_resilience::retry::{RetryLayer, RetryPolicy};
//! use std::time::Duration;
//!
//! let backoff = Exponential::new(Duration::from_millis(20))?
//!     .max(Duration::from_secs(1))?
//!     .jitter(Jitter::Equal);
//! let policy = RetryPolicy::new()
//!     .max_attempts(5)?
//!     .backoff(backoff)
//!     .retry_on(Code::Aborted);
//! let layer = RetryLayer::new(policy);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Per call: `request.call_options().max_attempts(2).retry_on(Code::Internal).idempotent()`.
//!
//! - **Reads** from the [`Context`](crate::call::Context) options, safety, deadline (or the caller's
//!   `grpc-timeout`), budget and method kind. **Writes** the attempt number.
//! - **Answers**: a final failure goes up as [`Error`](crate::Error), with the server's own status
//!   as its source and the [`GiveUp`](crate::GiveUp) reason. A success goes up untouched.
//! - **Commit**: once response headers arrived that are no Trailers-Only, the call is not repeated.
//!   A method known to answer with one message is held until its first frame, so that a status in
//!   trailers counts too.
//! - **Interactions**: stands below deadline, idempotency and budget, above wait-for-ready and load
//!   balancing. Below another retry layer it passes calls through.
//! - **Limits**: a request that is a live stream, or larger than
//!   [`replay_limit`](RetryLayer::replay_limit), passes through and is not repeated.

mod answer;
mod body;
mod call;
mod future;
mod hook;
mod layer;
mod plan;
mod policies;
mod policy;
mod service;
mod settings;

pub use body::RetryBody;
pub use future::ResponseFuture;
pub use hook::{BeforeAttempt, NextAttempt};
pub use layer::RetryLayer;
pub use plan::{Outcome, Plan, Policy};
pub use policies::{Policies, PolicyHandle};
pub use policy::{InvalidPolicy, RetryPolicy};
pub use service::Retry;
