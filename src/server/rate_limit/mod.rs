//! A server that lets no more requests through than it was told, and tells the others when to come.
//!
//! A limiter that answers everyone "the next cell is free in 2 ms" calls all of them back for one cell.
//! [`ServerRateLimitLayer`] gives each refused caller a cell of its own: the first hears of the next cell, the
//! second of the one after it, and a caller that comes again at its time gets it before those that come
//! for the first time. So each caller is refused once, and no cell is left unused.
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
//! - **Reads** `grpc-previous-rpc-attempts`, by which a retry is known (gRFC A6), and `grpc-timeout`: a cell
//!   past the caller's deadline is promised to nobody. A malformed value says nothing. **Writes** nothing
//!   into a request that passes, nor into its answer, but takes the mark of an unprocessed request
//!   out of it (CONTRACT I7): a handler may hand on somebody else's status.
//! - **Answers** a refused request without its handler, Trailers-Only: RESOURCE_EXHAUSTED with
//!   `google.rpc.RetryInfo`, exact to the nanosecond, and with `grpc-retry-pushback-ms`, the same rounded up.
//!   It is marked as without effect, `grpc-resilience-unprocessed`.
//!   Where no cell is promised, they say when the first one is free that nobody else was promised.
//! - **Exact**: the bucket is the generic cell rate algorithm (GCRA), for promised cells and
//!   others: in any time `t` no more than `burst + t / period` of a key. A caller that waits for
//!   its cell begins when tokio's timer says so, up to a millisecond after the cell's time.
//! - **A caller that comes back as it was told is let in**, up to the
//!   [`grace`](ServerRateLimitLayer::grace) after its time or before. If those before it came late it
//!   waits for its cell, as long as they were late: at most the grace. A wait that its
//!   `grpc-timeout` doesn't allow is refused.
//! - **A promise that nobody comes for** costs nothing: once its time is over its turn passes to
//!   the caller that comes next. That one gets the cell, or is told of a time ahead of the line; so
//!   a line of promises that a flood leaves, a minute of them at most, holds up nobody. Who then
//!   comes for such a promise is let in all the same. So many go ahead of a line that those in it
//!   wait at most four times the grace, or eight periods of a quota slower than eight a second, at
//!   most five and the grace.
//! - **Defaults**: promises up to 60 s ahead, since gRPC has no default deadline; a grace of 250
//!   ms, a round trip around the world; 100,000 keys for each quota,
//!   [`max_keys`](ServerRateLimitLayer::max_keys).
//! - **Clients**: under a [`RetryLayer`](crate::retry::RetryLayer) whose policy retries RESOURCE_EXHAUSTED, a
//!   call that is declared idempotent comes again once, and any other too where the client
//!   [trusts](crate::retry::RetryLayer::trust_unprocessed) the mark. One whose deadline is nearer
//!   than its cell gives up at once. One that ignores the hints is a new caller each time, unless
//!   it says otherwise.
//! - **Place**: below what authenticates callers, if keys are to be trusted; above what costs.
//! - **Limits**: a caller is known by its key alone, so one that comes again after another failure, or
//!   only claims to come again, takes the promise of another with the same key. Those behind it wait a
//!   period longer, and nobody is refused for it while no more of them come than the quota admits
//!   within the grace; of more, the last ones in line are told another time. Buckets are of this process; a restart fills them. One that goes
//!   away while it waits leaves its cell unused.

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
