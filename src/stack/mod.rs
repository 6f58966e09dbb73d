//! All layers at once, in the one right order.
//!
//! ```no_run
//! use grpc_resilience::Resilience;
//! use std::time::Duration;
//! use tonic::transport::Endpoint;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let channel = Resilience::new()
//!     .default_timeout(Duration::from_secs(5))
//!     .idempotent("/orders.v1.Orders/*")?
//!     .wrap(Endpoint::from_static("http://orders:50051").connect_lazy());
//! // let mut orders = OrdersClient::new(channel);
//! # Ok(())
//! # }
//! ```
//!
//! Outermost first, and why there:
//!
//! 1. **deadline**: bounds everything else.
//! 2. **idempotency**: declares the method before anybody decides on it.
//! 3. **budget**: hands the retry layer what it may spend.
//! 4. **retry**: above load balancing, so that each attempt may pick another connection.
//!    Below it stands what [`Resilience::attempt_layer`] puts there, by default nothing.
//! 5. **wait for ready**: close to the channel; a call that never left costs no attempt.
//! 6. **attempt timeout**: innermost; waiting for the channel is no attempt, so it takes none of its
//!    time.
//!
//! [`Resilient`] is the service: `Clone`, and a named type for a struct's field. With a layer of yours
//! around attempts it is [`ResilientWith`].
//!
//! # What an ordinary call costs
//!
//! Each layer by itself wraps the future and the body of every call and looks at its head, whether or not
//! there is something to do. Most calls give the layers nothing to do: they are answered OK at once. So
//! [`Resilient`] asks each layer's rules once, sends such a call to the channel itself, and keeps what the
//! layers need if its first attempt fails: then they take the call up there. Nobody outside can tell, but for
//! a layer of yours below, in the channel: it finds the same [`Context`](crate::call::Context), which
//! nobody follows until an attempt has failed.
//!
//! What the rules say of a method is found again for its next call, unless that call has options of its own, a
//! closure decides about the method, the retry policies were replaced since, or some hundreds of methods
//! were called before it: then they are asked anew.
//!
//! Not ordinary, and at the price of all layers, are calls
//!
//! - that somebody listens to ([`call_report`](crate::CallOptionsExt::call_report)), and those under another
//!   layer that acts;
//! - with a stream of requests, or one that is not kept: over the retry layer's limit, or while its buffer
//!   is full;
//! - with an attempt timeout, an idempotency key, a hook before attempts, or without retries;
//! - while the channel is not known to be ready, and all those of a balanced one.

mod answered;
mod body;
mod builder;
mod future;
mod going;
mod layered;
mod methods;
mod ordinary;
mod said;
mod service;
mod span;

pub use body::ResilientBody;
pub use builder::{NoAttemptLayer, Resilience};
pub use future::ResponseFuture;
pub use layered::ResilientWith;
pub use service::Resilient;
