//! A rate limit for a server that tells refused callers when to retry.
//!
//! A limiter that answers every caller "the next cell is free in 2 ms" makes all of them return
//! for one cell. [`ServerRateLimitLayer`] promises each refused caller a cell of its own: the first
//! caller the next cell, the second caller the one after it. A caller that returns at its time gets
//! its cell before new callers. So each caller is refused once, and no cell is left unused.
//!
//! ```
//! use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};
//!
//! let layer = ServerRateLimitLayer::new(Quota::per_second(500)?)
//!     .method("/orders.v1.Orders/Report*", Quota::per_minute(10)?.burst(2)?)?
//!     .by_metadata("x-tenant")?;
//! // tonic::transport::Server::builder().layer(layer.clone()).add_service(..)
//! let snapshot = layer.snapshot();
//! assert_eq!(snapshot.refused, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - **Reads** `grpc-previous-rpc-attempts`, which identifies a retry (gRFC A6), and
//!   `grpc-timeout`: no cell after the caller's deadline is promised. A malformed count means a new
//!   caller, a malformed timeout no promise. **Writes** nothing into an admitted request, nor into
//!   its response, but removes the mark of an unprocessed request from the response (CONTRACT I7),
//!   because a handler may return another server's status.
//! - **Responses**: a refused request is answered without its handler, as Trailers-Only:
//!   RESOURCE_EXHAUSTED with `google.rpc.RetryInfo`, exact to the nanosecond, and with
//!   `grpc-retry-pushback-ms`, rounded up. It is marked as without effect,
//!   `grpc-resilience-unprocessed`. If no cell is promised to the caller, they
//!   hold the time until the first cell that is not promised to another.
//! - **Exact**: the bucket is the generic cell rate algorithm (GCRA), for promised cells and
//!   others: in any time `t` at most `burst + t / period` requests of a key are admitted. A caller
//!   that waits for its cell begins when tokio's timer fires, up to a millisecond after the cell's
//!   time.
//! - **A returning caller** is admitted if it returns within the
//!   [`grace`](ServerRateLimitLayer::grace) before or after its time. If callers before it were
//!   late, it waits for its cell as long as they were late: at most the grace. It is refused if its
//!   `grpc-timeout` does not allow the wait.
//! - **An unused promise** costs nothing: once its time is over, its turn passes to the next
//!   caller, which gets the cell or a promise ahead of the line. So the promises that a flood
//!   leaves behind, a minute of them at most, delay no other caller. A caller that then returns for
//!   such a promise is still admitted. The number of callers ahead of a line is limited, so that
//!   those in it wait at most four times the grace; with a quota slower than eight a second, at
//!   most eight periods, or five and the grace if that is less.
//! - **Defaults**: promises up to 60 s ahead, because gRPC has no default deadline; a grace of
//!   250 ms, a round trip around the world; 100,000 keys for each quota,
//!   [`max_keys`](ServerRateLimitLayer::max_keys).
//! - **Clients**: under a [`RetryLayer`](crate::retry::RetryLayer) whose policy retries
//!   RESOURCE_EXHAUSTED, a call that is declared idempotent returns once, and so does any other
//!   call if the client [trusts](crate::retry::RetryLayer::trust_unprocessed) the mark. A call
//!   whose deadline is before its cell gives up at once. A client that ignores the hints is a new
//!   caller each time, unless its headers declare a retry.
//! - **Place**: below the layer that authenticates callers, if keys must be trusted; above
//!   expensive layers.
//! - **Limits**: a caller is identified by its key alone. A caller that retries after another
//!   failure, or only claims to retry, takes the promise of another caller with that key. Callers
//!   behind it wait a period longer; none of them is refused while no more such callers arrive than
//!   the quota admits within the grace. With more, the last ones in line get a later time. Buckets
//!   are local to a process; a restart fills them. A caller that goes away while it waits leaves
//!   its cell unused.

mod ahead;
mod body;
mod caller;
mod future;
mod key;
#[cfg(test)]
mod laws;
mod layer;
mod limits;
mod meter;
mod meters;
mod pace;
mod peer;
mod promises;
mod quota;
mod refused;
mod run;
mod service;
mod snapshot;

pub use body::ServerRateLimitBody;
pub use future::ResponseFuture;
pub use key::InvalidMetadataKey;
pub use layer::ServerRateLimitLayer;
pub use quota::{InvalidQuota, Quota};
pub use service::ServerRateLimit;
pub use snapshot::RateLimitSnapshot;
