//! Which endpoint a call goes to.
//!
//! A [`Picker`] chooses one of the endpoints that are ready, for each call. What comes with the
//! crate:
//!
//! | picker | picks | for |
//! |---|---|---|
//! | [`LeastLoaded`] | the less loaded of two random endpoints; the default | most services |
//! | [`RoundRobin`] | one after another | calls that cost the same |
//! | [`Random`] | a random one | comparisons |
//! | [`Shard`] | by a key of the call, the same endpoint for the same key | caches, sticky state |
//! | [`PickFirst`] | the first that can be reached, and connects to no other | a primary and spares |
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use grpc_resilience::channel::Channel;
//! use grpc_resilience::channel::pick::RoundRobin;
//!
//! let channel = Channel::builder("ipv4:10.0.0.1:50051,10.0.0.2:50051")
//!     .picker(RoundRobin::new())
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! A call that names its endpoint with
//! [`CallOptions::endpoint`](crate::call::CallOptions::endpoint) asks no picker, and neither does a
//! call of a channel with one ready endpoint.

mod first;
#[doc(hidden)]
pub mod internal;
mod least_loaded;
mod random;
mod ready;
mod round_robin;
mod shard;

use std::fmt;

pub use first::PickFirst;
pub use least_loaded::LeastLoaded;
pub use random::Random;
pub use ready::{Call, Ready};
pub use round_robin::RoundRobin;
pub use shard::Shard;

pub use super::endpoint::ReadyEndpoint;

/// Chooses the endpoint of a call.
///
/// It is asked for every call, and again if the chosen endpoint has no stream free: it should take
/// neither a lock nor memory. See [`ReadyEndpoint`] for an example.
pub trait Picker: fmt::Debug + Send + Sync + 'static {
    /// The index of one of these endpoints, of which there is at least one; an index beyond them
    /// counts as the last one.
    ///
    /// Endpoints that the call is to avoid, and those that were found without a free stream, are
    /// not among `ready`. The order is that of the resolver.
    fn pick(&self, ready: &Ready<'_>, call: &Call<'_>) -> usize;

    /// To which endpoints the channel connects. Default: to all.
    fn connect(&self) -> Connect {
        Connect::ToAll
    }
}

/// To which endpoints a channel connects.
///
/// ```
/// use grpc_resilience::channel::pick::{Connect, LeastLoaded, Picker};
///
/// assert_eq!(LeastLoaded::new().connect(), Connect::ToAll);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connect {
    /// To all, whether or not calls come.
    ToAll,
    /// To the first that can be reached; see [`PickFirst`].
    ToFirst {
        /// Each set of addresses is tried in a random order (gRFC A62).
        shuffle: bool,
    },
}
