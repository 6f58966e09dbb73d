//! Calls that wait while the channel is down, instead of failing.
//!
//! A call that provably was never sent, because no connection could be made, waits with connection
//! backoff and goes again, whatever its idempotency, until its deadline. While the channel is down
//! one call at a time tests it, on schedule; the others wait for its result, and go in order of arrival.
//!
//! ```
//! use grpc_resilience::call::Patience;
//! use grpc_resilience::wait_for_ready::{Readiness, WaitForReadyLayer};
//! use std::time::Duration;
//!
//! let readiness = Readiness::new();
//! let layer = WaitForReadyLayer::new()
//!     .max_backoff(Duration::from_secs(2))
//!     .max_waiting(1_000)
//!     .release_rate(500)?
//!     .method("/orders.v1.Orders/Quote", Patience::FailFast)?
//!     .readiness(&readiness);
//! // the layer over a channel, and calls; meanwhile, elsewhere:
//! println!("{}", readiness.snapshot());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Per call: `request.call_options().fail_fast()`, or `.wait_for_ready()` where the layer was told
//! [`fail_fast`](WaitForReadyLayer::fail_fast). An attempt that fails fast is an attempt: a retry
//! layer above makes the next one after its backoff, as gRPC's does. For an answer at once say
//! `.never_retry()` too.
//!
//! - **Reads** patience and deadline (or the caller's `grpc-timeout`) from the
//!   [`Context`](crate::call::Context). **Writes** nothing.
//! - **Defaults**: calls wait; gRPC's connection backoff (1 s, x1.6, +-20 %, at most 120 s); at most
//!   10,000 calls and 64 MiB wait; 10,000 calls a second are released.
//! - **Errors**: UNAVAILABLE at once for a call that fails fast while the channel is known to be
//!   down; DEADLINE_EXCEEDED that says the channel never got ready; RESOURCE_EXHAUSTED at once where
//!   too many wait ([`GiveUp::QueueFull`](crate::GiveUp::QueueFull)).
//! - **Interactions**: stands closest to the channel, but for what bounds one attempt. Above a retry
//!   layer it works too, but a test of the channel then ends with the answer only, not with the open
//!   stream: until the first answer calls go one by one. What never left the client for another reason,
//!   or was refused by the server, is the retry layer's. In `Resilience`, where the
//!   retry layer stands directly above and keeps the whole request, it keeps none itself: a first attempt
//!   that was not sent though the channel counted as ready is handed back, and comes again at once, in
//!   the same attempt, to wait here.
//!
//! # What it takes for what
//!
//! Readiness is inferred from calls: over a foreign channel there is nothing else to see.
//! [`Readiness`] says what can't be seen.
//!
//! | seen | the channel is | a call that waits | one that fails fast |
//! |---|---|---|---|
//! | nothing yet, or a connection lost that had answered | `Idle`, then `Connecting` | one tests it at once, the others wait | the same |
//! | a stream was opened, or any answer | `Ready` | goes | goes |
//! | a failed connect while `Ready` | tested once more at once, for the error may be an old one's | is that test, or waits for it | fails if it was this one's connect |
//! | a failed connect of a test, one that takes 20 s, or a connection lost before any answer | `TransientFailure` | waits; the first in line tests it when the backoff says so | fails at once, or is the test if one is due |
//! | the worker gone, `poll_ready` failed | `Shutdown` | fails at once | fails at once |
//!
//! A failed connect of a test may be that of an earlier one whose caller left meanwhile, for the transport
//! keeps its error: then the backoff counts from when that caller left, so that a call after a long pause
//! tests the channel once more at once.
//!
//! A balanced channel ([`endpoints`](WaitForReadyLayer::endpoints)) counts as ready until three times
//! as many connects failed in a row, and a lost connection says nothing of it.
//!
//! # Costs and limits
//!
//! - A waiting call has no timer but for its deadline; the first eight in line have one for the next dial.
//!   It holds 2.8 KiB with its task and a request of 100 bytes, some 4.2 KiB under all of `Resilience`,
//!   where tonic's own queue holds 3.2 KiB (`cargo test --test load waiting -- --nocapture`), and as much
//!   more as its request is larger.
//! - A live request stream waits as long as no attempt read any of it.
//! - A test whose owner stops polling it is taken over after 20 s, gRPC's minimum connect timeout. Give
//!   the endpoint a `connect_timeout`: what tonic's channel has begun to dial goes on, and the next dial
//!   stands in line behind it.
//! - Calls that were handed on before the first failed connect each make a dial, as those of a burst
//!   after the connection was lost while idle. HTTP/2 keepalive while idle lets the channel know before.
//! - An [attempt timeout](crate::call::CallOptions::attempt_timeout) counts the time to connect: what it
//!   ends is a failed attempt, not a failed connect, so make it longer than a dial may take.
//! - What stands below tells by reading the request's body that a stream is open. A mock in a test that does
//!   not read it is dialled, as far as can be seen, until it answers: the first calls go one after the other.
//! - Without a deadline layer above, the caller's `grpc-timeout` bounds the wait but not a dial under way.

mod alarm;
mod body;
mod call;
mod channel;
mod connectivity;
mod door;
mod failure;
mod finding;
mod future;
mod gate;
mod layer;
mod log;
mod losses;
mod news;
mod outage;
mod pass;
mod pending;
mod policy;
mod queue;
mod readiness;
mod service;
mod settings;
mod several;
mod streak;
mod test;
mod watch;

pub use crate::grpc::InvalidPattern;
pub use body::WaitBody;
pub use connectivity::ConnectivityState;
pub use future::ResponseFuture;
pub use layer::{InvalidWait, WaitForReadyLayer};
pub use policy::{News, WaitForReadyPolicy};
pub use readiness::{Readiness, ReadinessSnapshot};
pub use service::WaitForReady;

#[cfg(feature = "stack")]
pub(crate) use {door::Door, pass::Pass};
