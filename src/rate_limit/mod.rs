//! A server that lets no more requests through than it was told, and tells the others when to come.
//!
//! A limiter that answers everyone "the next cell is free in 2 ms" calls all of them back for one cell.
//! [`RateLimitLayer`] gives each refused caller a cell of its own: the first hears of the next cell, the
//! second of the one after it, and a caller that comes again at its time gets it before those that come
//! for the first time. So each caller is refused once, and no cell is left unused.
//!
//! ```
//! use grpc_resilience::rate_limit::{Quota, RateLimitLayer};
//!
//! let layer = RateLimitLayer::new(Quota::per_second(500)?)
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
//!   into a request that passes, nor into its answer, but takes the mark of an unprocessed request out of it
//!   (CONTRACT I7): a handler may hand on somebody else's status.
//! - **Answers** a refused request without its handler, Trailers-Only: RESOURCE_EXHAUSTED with
//!   `google.rpc.RetryInfo`, exact to the nanosecond, and with `grpc-retry-pushback-ms`, the same rounded up.
//!   It is marked as without effect, [`grpc::UNPROCESSED`](crate::grpc::UNPROCESSED).
//!   Where no cell is promised, they say when the first one is free that nobody else was promised.
//! - **Exact**: [governor](https://docs.rs/governor) lets every request through or doesn't, promised or
//!   not: in any time `t` no more than `burst + t / period` of a key.
//! - **Defaults**: promises up to 60 s ahead, since gRPC has no default deadline; kept 250 ms past their
//!   time, a round trip around the world; 100,000 keys for each quota, [`max_keys`](RateLimitLayer::max_keys).
//! - **A promise that nobody comes for** costs nothing: its cell waits in the bucket and is then for whoever
//!   comes. That needs room, a burst of some requests: with a burst of 1 ([`Quota::every`]) each of them may
//!   cost half a period.
//! - **Clients**: under a [`RetryLayer`](crate::retry::RetryLayer) whose policy retries RESOURCE_EXHAUSTED, a
//!   call that is declared idempotent comes again once, and any other too where the client
//!   [trusts](crate::retry::RetryLayer::trust_unprocessed) the mark. One whose deadline is nearer than its cell gives
//!   up at once. One that ignores the hints is a new caller each time, unless it says otherwise.
//! - **Place**: below what authenticates callers, if keys are to be trusted; above what costs.
//! - **Limits**: a caller is known by its key alone, so one that claims to come again can take the cell of
//!   another with the same key. Buckets are of this process; a restart fills them.

mod body;
mod caller;
mod future;
mod key;
mod layer;
mod limits;
mod meter;
mod meters;
#[cfg(feature = "tonic")]
mod peer;
mod promises;
mod quota;
mod refused;
mod service;
mod snapshot;

pub use crate::grpc::InvalidPattern;
pub use body::RateLimitBody;
pub use future::ResponseFuture;
pub use key::InvalidMetadataKey;
pub use layer::RateLimitLayer;
pub use quota::{InvalidQuota, Quota};
pub use service::RateLimit;
pub use snapshot::RateLimitSnapshot;
