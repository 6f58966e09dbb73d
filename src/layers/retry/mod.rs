//! Sends a call again when that helps and can't hurt.
//!
//! [`RetryLayer`] repeats calls of all four kinds as gRFC A6 says: exponential backoff with jitter,
//! retryable codes, server pushback and `RetryInfo`, `grpc-previous-rpc-attempts`, transparent
//! retries of what never ran. Whether a call that may have run is repeated depends on what is
//! declared of it, see [`Safety`](crate::call::Safety): nothing declared, no repetition.
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
//! method, and replaced while calls run: [`Policies`], [`PolicyHandle`]. Decided by yourself: a
//! [`Policy`] of your own, as in the example `policy`; by what a failure says beyond its code:
//! [`RetryPolicy::retry_if`]. Before each attempt: [`BeforeAttempt`], which brings a fresh token.
//!
//! - **Reads** from the [`Context`](crate::call::Context) options, safety, deadline (or the
//!   caller's `grpc-timeout`), budget and method kind. **Writes** the attempt number, whether
//!   another attempt can follow ([`is_last_attempt`](crate::call::Context::is_last_attempt)), and
//!   what happens to the call, for its [`CallReport`](crate::CallReport).
//! - **Logs** (target `grpc_resilience`) each retry at DEBUG; see the [front
//!   page](crate#what-it-logs).
//! - **Answers**: a final failure goes up as [`Error`](crate::Error), with the server's own status
//!   as its source and the [`GiveUp`](crate::GiveUp) reason. A success goes up untouched; one that
//!   took more than its first attempt has the [`CallReport`](crate::CallReport) in its extensions.
//! - **Commit**: once response headers arrived that are no Trailers-Only, the call is not repeated.
//!   A method known to answer with one message is held until its first frame, so that a status in
//!   trailers counts too.
//! - **Replay**: a unary request is kept as it is. A live one is kept as the attempt under way reads
//!   it; the next attempt reads that and then the live rest, each message once and in order. At most
//!   [`replay_limit`](RetryLayer::replay_limit) bytes a call and
//!   [`replay_buffer`](RetryLayer::replay_buffer) bytes a channel are kept; what does not fit is
//!   sent all the same, once. The commit frees what was kept.
//! - **Time** comes from the runtime that polls the call, or else from that in which the stack was
//!   built or first called. Once that is over no wait can end: the call fails with its last
//!   failure, [`GiveUp::NoRuntime`](crate::GiveUp::NoRuntime). A stack that never saw a runtime
//!   waits by threads.
//! - **Interactions**: stands below deadline, idempotency and budget, above wait-for-ready and load
//!   balancing. Below another retry layer it passes calls through, and says so by one WARN event.
//! - **Limits**: an attempt that failed before its live request was read to the end has its stream
//!   reset, which needs tonic's `Body` or a boxed body whose error is a `tonic::Status` or a
//!   `BoxError`; with others that stream stays open until the server or the connection ends it.
//!   tonic's `CancellationHandle` acts on a live request; of a unary one nothing is left to cancel
//!   once it was captured: drop the call instead. A server that limits its streams and resets what
//!   came before its SETTINGS with `ENHANCE_YOUR_CALM`, as C-core's does, says RESOURCE_EXHAUSTED,
//!   which no default retries.

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
