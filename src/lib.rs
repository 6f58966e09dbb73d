//! tower layers that keep gRPC calls going while servers die, move and overload.
//!
//! Each layer stands alone over any tonic channel, under the unmodified generated client; together
//! they cooperate through the request's [`call::Context`] only.
//!
//! ```no_run
//! use grpc_resilience::{
//!     BudgetLayer, DeadlineLayer, IdempotencyLayer, RetryLayer, RetryPolicy, TokenBucket,
//!     WaitForReadyLayer,
//! };
//! use std::time::Duration;
//! use tonic::transport::Endpoint;
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let channel = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new().default_timeout(Duration::from_secs(5)))
//!     .layer(IdempotencyLayer::new().idempotent("/orders.v1.Orders/Get*")?)
//!     .layer(BudgetLayer::new(TokenBucket::default()))
//!     .layer(RetryLayer::new(RetryPolicy::new().max_attempts(4)?))
//!     .layer(WaitForReadyLayer::new())
//!     .service(Endpoint::from_static("http://orders:50051").connect_lazy());
//! // let mut orders = OrdersClient::new(channel);
//! # Ok(())
//! # }
//! ```
//!
//! All of it at once, in the right order: [`Resilience`]. Tuned per call: [`CallOptionsExt`].
//!
//! | module | what it adds |
//! |---|---|
//! | [`retry`] | attempts, backoff, server hints, transparent retries |
//! | [`idempotency`] | which methods may be repeated |
//! | [`deadline`] | one instant at which a call ends |
//! | [`wait_for_ready`] | calls wait while the channel is down |
//! | [`attempt_timeout`] | a bound for each attempt by itself |
//! | [`budget`] | a bound for extra attempts, by tokens or a percentage |
//! | [`adaptive_throttle`] | calls that the server would refuse are not sent |
//! | [`stack`] | [`Resilience`]: all of the above but the last one |
//! | `channel` | a channel of this crate's own, which knows its connections |
//! | `server_deadline` | handlers that stop at their caller's deadline |
//! | `rate_limit` | a server's quotas, and refused callers that come back once, on time |
//!
//! Three features: `tonic` (default) knows tonic's bodies, errors and `Request`; `channel` (default)
//! adds the channel; `server` adds the last two modules, and turns on tonic's own `server` feature.
//!
//! # What it logs
//!
//! `tracing` events, all with target `grpc_resilience`. A call that is answered at its first
//! attempt says nothing. Each happening is one event, whichever layers stand there.
//!
//! | level | event | fields |
//! |---|---|---|
//! | DEBUG | an attempt failed and is retried; a request that was not processed is sent again | `method`, `attempt`, `code`, `reason`, `delay`, `error` |
//! | DEBUG | a call waits for the channel, once a call | `method`, `attempt`; how the channel last failed, if it did: `channel_code`, `channel_reason`, `channel_error`; `delay` until the next dial, if none is under way |
//! | DEBUG | a call failed, by whatever layer's decision | `method`, `attempts` (how many were begun), `code`, `reason`, `give_up`, `error` |
//! | DEBUG | the calls that waited go to the channel | `calls` |
//! | DEBUG | on a server: a call over its quota, or after its caller's deadline, was refused; a handler was stopped at that deadline | `method`, `after`, `timeout` |
//! | INFO | a retry budget is used up, and has filled again: without a refusal for 10 s | `refused_for` |
//! | INFO | a channel is down, once an outage, and is back | `code`, `reason`, `delay`, `error`; `down_for` |
//! | WARN | a channel is down for a reason that waiting rarely cures, or is shut down | the same, and `fault` |
//! | WARN | layers in an order that can't work, a timeout without effect, a pattern without a method, an option whose layer is missing, once each | `setter`, `pattern`; `option`, `layer` |
//! | WARN | a method was called that neither a declaration nor the descriptors or tables know, once a method, where any are given; an error that the crate does not know, once | `method`; `chain` |
//!
//! `attempt` is the number of the attempt, from 1, and absent without a retry layer. `code` is
//! gRPC's name, `reason` that of [`classify::Reason`], `give_up` that of [`GiveUp`], `fault` that
//! of [`classify::ConnectFault`], `error` the message of the status. Over a foreign channel no
//! event knows the endpoint. To see the retries of a service:
//! `RUST_LOG=info,grpc_resilience=debug`.
//!
//! Where a rule is cited as "CONTRACT R6", it stands under that id in the repository's
//! `docs/CONTRACT.md`, with its source.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backoff;
pub mod body;
pub mod call;
#[cfg(feature = "channel")]
pub mod channel;
pub mod classify;
mod dispatch;
pub mod error;
mod events;
pub mod grpc;
mod kernel;
mod layers;
pub mod methods;
mod ready;
pub mod report;
#[cfg(feature = "server")]
mod server;
pub mod stack;

/// For the tests of this repository. It is no API: anything here may change in any release.
#[doc(hidden)]
pub mod __internal {
    pub use crate::call::internal::{bound, is_followed, stated_deadline};
    pub use crate::classify::answer::{answer, head, trailers};
    pub use crate::classify::failure::failure;
    pub use crate::grpc::headers::{DETAILS, MESSAGE, PUSHBACK, STATUS, TIMEOUT};
    pub use crate::grpc::pushback::Pushback;
    pub use crate::grpc::retry_info::retry_delay;
    pub use crate::grpc::status::remove_malformed_details;
    pub use crate::grpc::timeout::{InvalidTimeout, parse_timeout, render_timeout};
}

pub use layers::{
    adaptive_throttle, attempt_timeout, budget, deadline, idempotency, retry, wait_for_ready,
};

pub use adaptive_throttle::AdaptiveThrottleLayer;
pub use attempt_timeout::AttemptTimeoutLayer;
pub use budget::{BudgetLayer, PercentageBudget, TokenBucket};
pub use call::CallOptionsExt;
pub use deadline::DeadlineLayer;
pub use error::{BoxError, Error, GiveUp};
pub use idempotency::{IdempotencyKey, IdempotencyLayer};
pub use report::CallReport;
pub use retry::{RetryLayer, RetryPolicy};
#[cfg(feature = "server")]
pub use server::{
    deadline::{self as server_deadline, ServerDeadlineLayer},
    rate_limit::{self, ServerRateLimitLayer},
};
pub use stack::{Resilience, Resilient};
pub use wait_for_ready::WaitForReadyLayer;
