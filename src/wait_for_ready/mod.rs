//! Calls that wait while the channel is down, instead of failing.
//!
//! A call that provably was never sent, because no connection could be made, waits with connection
//! backoff and goes again, whatever its idempotency, until its deadline. While the channel is down
//! one call at a time tests it; the others wait for its result.
//!
//! ```
//! use grpc_resilience::backoff::Exponential;
//! use grpc_resilience::wait_for_ready::WaitForReadyLayer;
//! use std::time::Duration;
//!
//! let layer = WaitForReadyLayer::new()
//!     .backoff(Exponential::new(Duration::from_millis(50))?.max(Duration::from_secs(2))?);
//! # Ok::<(), grpc_resilience::backoff::InvalidBackoff>(())
//! ```
//!
//! Per call: `request.call_options().fail_fast()`, or `.wait_for_ready()` where the layer was told
//! [`fail_fast`](WaitForReadyLayer::fail_fast). An attempt that fails fast is an attempt: a retry
//! layer above makes the next one after its backoff, as gRPC's does. For an answer at once say
//! `.never_retry()` too.
//!
//! - **Reads** patience and deadline (or the caller's `grpc-timeout`) from the
//!   [`Context`](crate::call::Context). **Writes** nothing.
//! - **Defaults**: calls wait; gRPC's connection backoff (1 s, x1.6, +-20 %, at most 120 s).
//! - **Errors**: UNAVAILABLE at once for a call that fails fast while the channel is known to be
//!   down; DEADLINE_EXCEEDED that says the channel never got ready.
//! - **Interactions**: stands closest to the channel, but for what bounds one attempt. Above a retry layer it works too, but a test of
//!   the channel then ends with the answer only, not with the open stream. What never left the client for another reason,
//!   or was refused by the server, is the retry layer's.
//! - **Limits**: readiness is inferred from calls: over a foreign channel there is nothing else to
//!   see. The channel counts as down after one failed connect, or after three times
//!   [`endpoints`](WaitForReadyLayer::endpoints) in a row on a balanced one. A live request stream
//!   waits as long as no attempt read any of it. Without a
//!   deadline layer above, the caller's `grpc-timeout` bounds the wait but not a dial under way.

mod body;
mod call;
mod channel;
mod failure;
mod future;
mod gate;
mod layer;
mod news;
mod pending;
mod policy;
mod queue;
mod readiness;
mod service;
mod settings;

pub use crate::grpc::InvalidPattern;
pub use body::WaitBody;
pub use future::ResponseFuture;
pub use layer::{InvalidWait, WaitForReadyLayer};
pub use policy::{News, WaitForReadyPolicy};
pub use readiness::{ConnectivityState, Readiness, ReadinessSnapshot};
pub use service::WaitForReady;
