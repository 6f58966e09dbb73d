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
//! | feature | what it adds |
//! |---|---|
//! | `retry` | [`retry`]: attempts, backoff, server hints, transparent retries |
//! | `idempotency` | [`idempotency`]: which methods may be repeated |
//! | `deadline` | [`deadline`]: one instant at which a call ends |
//! | `wait-for-ready` | [`wait_for_ready`]: calls wait while the channel is down |
//! | `attempt-timeout` | [`attempt_timeout`]: a bound for each attempt by itself |
//! | `budget` | [`budget`]: a bound for extra attempts, by tokens or a percentage |
//! | `adaptive-throttle` | [`adaptive_throttle`]: calls that the server would refuse are not sent |
//! | `server-deadline` | [`server_deadline`]: handlers that stop at their caller's deadline |
//! | `rate-limit` | [`rate_limit`]: a server's quotas, and refused callers that come back once, on time |
//! | `stack` | [`stack`]: `Resilience`, and all of the above but the last three |
//! | `channel` | [`channel`]: a channel of our own, which knows its connections |
//! | `tonic` | tonic's bodies, errors and `Request` |
//!
//! All but `rate-limit` are on by default; none changes what another does.
//!
//! # What it logs
//!
//! `tracing` events, all with target `grpc_resilience`. A call that is answered at its first
//! attempt says nothing. Each happening is one event, whichever layers stand there.
//!
//! | level | event | fields |
//! |---|---|---|
//! | DEBUG | an attempt failed and is retried; a request that was not processed is sent again | `method`, `attempt`, `code`, `reason`, `delay`, `error` |
//! | DEBUG | a call waits for the channel, once a call | `method`, `attempt`, `code`, `reason`, `delay` until the next dial, `error` |
//! | DEBUG | a call failed, by whatever layer's decision | `method`, `attempt` (how many were made), `code`, `reason`, `give_up`, `error` |
//! | DEBUG | the calls that waited go to the channel | `calls` |
//! | INFO | a channel is down, once an outage, and is back | `code`, `reason`, `delay`, `error`; `down_for` |
//! | WARN | a channel is down for a reason that waiting rarely cures, or is shut down | the same, and `fault` |
//! | WARN | layers in an order that can't work, a pattern without a method, an option whose layer is missing, once each | `setter`, `pattern`; `option`, `layer` |
//! | WARN | a method that was called and that nobody declared, once a method, where descriptors or a table are given; an error that the crate does not know, once | `method`; `chain` |
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

#[cfg(feature = "adaptive-throttle")]
pub mod adaptive_throttle;
#[cfg(feature = "attempt-timeout")]
pub mod attempt_timeout;
pub mod backoff;
#[cfg_attr(
    not(feature = "stack"),
    allow(
        dead_code,
        unused_imports,
        reason = "a layer by itself needs some of it only"
    )
)]
pub mod body;
#[cfg(feature = "budget")]
pub mod budget;
#[cfg_attr(
    not(feature = "stack"),
    allow(
        dead_code,
        unused_imports,
        reason = "a layer by itself needs some of it only"
    )
)]
pub mod call;
#[cfg(feature = "channel")]
pub mod channel;
#[cfg_attr(
    not(feature = "stack"),
    allow(
        dead_code,
        unused_imports,
        reason = "a layer by itself needs some of it only"
    )
)]
pub mod classify;
#[cfg(feature = "budget")]
mod clock;
#[cfg(feature = "deadline")]
pub mod deadline;
#[cfg(any(
    feature = "adaptive-throttle",
    feature = "attempt-timeout",
    feature = "deadline",
    feature = "retry",
    feature = "wait-for-ready"
))]
#[cfg_attr(
    not(feature = "stack"),
    allow(
        dead_code,
        unused_imports,
        reason = "a layer by itself needs some of it only"
    )
)]
mod dispatch;
#[cfg_attr(
    not(feature = "stack"),
    allow(
        dead_code,
        unused_imports,
        reason = "a layer by itself needs some of it only"
    )
)]
pub mod error;
#[cfg_attr(
    not(feature = "stack"),
    allow(
        dead_code,
        unused_imports,
        reason = "a layer by itself has some of it to say only"
    )
)]
mod events;
pub mod grpc;
#[cfg(feature = "idempotency")]
pub mod idempotency;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
#[cfg_attr(
    not(feature = "stack"),
    allow(
        dead_code,
        unused_imports,
        reason = "a layer by itself writes some of it only"
    )
)]
pub mod report;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(any(
    feature = "adaptive-throttle",
    feature = "channel",
    feature = "idempotency",
    feature = "retry",
    feature = "wait-for-ready"
))]
mod rng;
#[cfg(feature = "server-deadline")]
pub mod server_deadline;
#[cfg(feature = "stack")]
pub mod stack;
#[cfg(any(feature = "deadline", feature = "retry"))]
mod striped;
mod sync;
#[cfg(any(
    feature = "attempt-timeout",
    feature = "channel",
    feature = "deadline",
    feature = "rate-limit",
    feature = "retry",
    feature = "server-deadline",
    feature = "wait-for-ready"
))]
#[cfg_attr(
    not(feature = "stack"),
    allow(dead_code, reason = "a layer by itself needs some of it only")
)]
mod timer;
#[cfg(feature = "wait-for-ready")]
pub mod wait_for_ready;

#[cfg(feature = "adaptive-throttle")]
pub use adaptive_throttle::AdaptiveThrottleLayer;
#[cfg(feature = "attempt-timeout")]
pub use attempt_timeout::AttemptTimeoutLayer;
#[cfg(feature = "budget")]
pub use budget::{BudgetLayer, PercentageBudget, TokenBucket};
pub use call::CallOptionsExt;
#[cfg(feature = "deadline")]
pub use deadline::DeadlineLayer;
pub use error::{BoxError, Error, GiveUp};
#[cfg(feature = "idempotency")]
pub use idempotency::{IdempotencyKey, IdempotencyLayer};
#[cfg(feature = "rate-limit")]
pub use rate_limit::RateLimitLayer;
pub use report::CallReport;
#[cfg(feature = "retry")]
pub use retry::{RetryLayer, RetryPolicy};
#[cfg(feature = "server-deadline")]
pub use server_deadline::ServerDeadlineLayer;
#[cfg(feature = "stack")]
pub use stack::{Resilience, Resilient};
#[cfg(feature = "wait-for-ready")]
pub use wait_for_ready::WaitForReadyLayer;
