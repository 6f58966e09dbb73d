//! All layers at once, in the right order.
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
//! The order, outermost first, with reasons:
//!
//! 1. **deadline**: bounds everything else.
//! 2. **idempotency**: declares the method before other layers decide on it.
//! 3. **budget**: provides the budget that the retry layer spends.
//! 4. **retry**: above load balancing, so that each attempt may pick another connection. Below it
//!    stands the layer of [`Resilience::attempt_layer`], by default none.
//! 5. **wait for ready**: close to the channel; a call that never left the client uses no attempt.
//! 6. **attempt timeout**: innermost, because a wait for the channel is not part of an attempt.
//!
//! [`Resilient`] is the service: `Clone`, and a named type for a struct's field. With your own
//! layer around attempts it is [`ResilientWith`].
//!
//! # The fast path
//!
//! A layer alone wraps the future and the body of every call and inspects its head. Most calls need
//! no layer to act: they are answered OK at once. So [`Resilient`] evaluates the rules of each
//! layer once, sends such a call directly to the channel, and keeps the state that the layers need;
//! if the first attempt fails, the layers take over. The result is the same. Only your own layer
//! below, in the channel, sees a difference: no report follows its
//! [`Context`](crate::call::Context) until an attempt has failed.
//!
//! The rules for a method are cached for its next call. They are evaluated again if the call has
//! its own options, a closure decides about the method, the retry policies were replaced, or
//! hundreds of other methods were called in between.
//!
//! These calls take the full path through all layers:
//!
//! - calls with a [`call_report`](crate::CallOptionsExt::call_report), and calls under another
//!   acting layer;
//! - calls with a stream of requests, and calls whose request is not kept because it exceeds the
//!   retry layer's limit or because the buffer is full;
//! - calls with an attempt timeout, an idempotency key or a hook before attempts, and calls without
//!   retries;
//! - calls while the channel is not known to be ready, and all calls of a balanced channel.

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
