//! Sends a call again when that helps and is safe.
//!
//! [`RetryLayer`] repeats calls of all four kinds by gRFC A6: exponential backoff with jitter,
//! retryable codes, server pushback and `RetryInfo`, `grpc-previous-rpc-attempts`, transparent
//! retries of calls that never ran. A call that may have run is repeated only if its
//! [`Safety`](crate::call::Safety) is declared.
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
//! Per call: `request.call_options().max_attempts(2).retry_on(Code::Internal).idempotent()`. Per
//! method, replaceable while calls run: [`Policies`], [`PolicyHandle`]. With a decision of your
//! own: a [`Policy`], as in the example `policy`. By message, details or metadata of a failure:
//! [`RetryPolicy::retry_if`]. Before each attempt: [`BeforeAttempt`], for example to add a fresh
//! token.
//!
//! - **Reads** from the [`Context`](crate::call::Context) options, safety, deadline (or the
//!   caller's `grpc-timeout`), budget and method kind. **Writes** the attempt number, whether
//!   another attempt can follow ([`is_last_attempt`](crate::call::Context::is_last_attempt)), and
//!   what happens to the call, for its [`CallReport`](crate::CallReport).
//! - **Logs** (target `grpc_resilience`) each retry at DEBUG; see the [front
//!   page](crate#what-it-logs).
//! - **Responses**: a final failure is returned as [`Error`](crate::Error), with the server's own
//!   status as its source and the [`GiveUp`](crate::GiveUp) reason. A success is returned
//!   untouched; if it took more than one attempt it has the [`CallReport`](crate::CallReport) in
//!   its extensions.
//! - **Commit**: response headers commit the call, unless they are Trailers-Only: it is not
//!   repeated afterwards. The head of a response with one message is held until the first frame,
//!   so that a status in trailers counts too.
//! - **Replay**: a unary request is kept as it is. A streaming request is kept as the current
//!   attempt reads it; the next attempt reads the kept part and then the rest of the stream, each
//!   message once and in order. At most [`replay_limit`](RetryLayer::replay_limit) bytes for each
//!   call and [`replay_buffer`](RetryLayer::replay_buffer) bytes for each channel are kept; a
//!   larger request is sent once and not repeated. The commit frees the kept data.
//! - **Time** comes from the runtime that polls the call, or else from the runtime in which the
//!   stack was built or first called. Once that runtime is over no wait can end: the call fails
//!   with its last failure and [`GiveUp::NoRuntime`](crate::GiveUp::NoRuntime). A stack that never
//!   saw a runtime waits on threads of its own.
//!   balancing. Below another retry layer it passes calls through and emits one WARN event.
//! - **Limits**: if an attempt fails before its streaming request was read to the end, its HTTP/2
//!   stream is reset. That needs tonic's `Body`, or a boxed body whose error is a `tonic::Status`
//!   or a `BoxError`; with other bodies the stream stays open until the server or the connection
//!   ends it. tonic's `CancellationHandle` acts on a streaming request. It cannot cancel a unary
//!   request once the request is kept: drop the call instead. A server that limits its streams and
//!   resets streams opened before its SETTINGS with `ENHANCE_YOUR_CALM`, as C-core's does, causes
//!   RESOURCE_EXHAUSTED, which is not retried by default.

mod answer;
mod body;
mod call;
mod completion;
mod condition;
mod core;
mod credentials;
mod future;
mod hook;
mod judge;
mod kept_request;
mod last;
mod layer;
mod pending_permit;
mod plan;
mod policies;
mod policy;
mod progress;
mod service;
mod settings;
mod shared;

pub use body::RetryBody;
pub use future::ResponseFuture;
pub use hook::{BeforeAttempt, NextAttempt};
pub use layer::RetryLayer;
pub use plan::{Outcome, Plan, Policy};
pub use policies::{Policies, PolicyHandle};
pub use policy::{InvalidPolicy, RetryPolicy};
pub use service::Retry;

pub(crate) use {
    answer::failure_in, call::RetryCall, completion::Completion, core::Core,
    kept_request::KeptRequest, last::is_first_the_last, progress::clear_count,
};
