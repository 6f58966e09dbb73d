//! Calls that wait while the channel is down, instead of failing.
//!
//! A call that provably was never sent, because no connection could be made, waits with connection
//! backoff and goes again, whatever its idempotency, until its deadline. While the channel is down
//! one call at a time tests it, on schedule; the others wait for its result, and go in order of arrival.
//!
//! ```
//! use grpc_resilience::call::WaitMode;
//! use grpc_resilience::wait_for_ready::{Readiness, WaitForReadyLayer};
//! use std::time::Duration;
//!
//! let readiness = Readiness::new();
//! let layer = WaitForReadyLayer::new()
//!     .max_backoff(Duration::from_secs(2))?
//!     .max_waiting(1_000)
//!     .release_rate(500)?
//!     .method("/orders.v1.Orders/Quote", WaitMode::FailFast)?
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
//! - **Reads** the wait mode and the deadline (or the caller's `grpc-timeout`) from the
//!   [`Context`](crate::call::Context). **Writes** there that it holds a call while the channel is
//!   not ready, so that a layer below which should not stand there says so.
//! - **Defaults**: calls wait; the connection backoff is 100 ms, x1.6, +-20 %, at most 800 ms
//!   during the first 10 s of an outage, then up to 10 s
//!   ([`ConnectionBackoff`](crate::backoff::ConnectionBackoff)); at most 10,000 calls and 64 MiB
//!   wait; 10,000 calls a second are released.
//! - **Errors**: UNAVAILABLE at once for a call that fails fast while the channel is known to be
//!   down; DEADLINE_EXCEEDED that says the call waited for the channel to become ready, and why it
//!   did not; RESOURCE_EXHAUSTED at once where too many wait
//!   ([`GiveUp::QueueFull`](crate::GiveUp::QueueFull)). A connection that can't be made for a
//!   reason which waiting rarely cures, such as an untrusted certificate, is named with what to do
//!   about it ([`ConnectFault`](crate::classify::ConnectFault)).
//! - **Logs** (target `grpc_resilience`) state changes: INFO when the channel is down, once an
//!   outage, and when a call is answered after that; WARN if a fault is named, and when the channel
//!   is shut down. DEBUG for each call that waits.
//! - **Interactions**: stands closest to the channel, but for what bounds one attempt. Above a
//!   retry layer it works too, but a test of the channel then ends with the answer only, not with
//!   the open stream: until the first answer calls go one by one. What never left the client for
//!   another reason, or was refused by the server, is the retry layer's. In `Resilience`, where the
//!   retry layer stands directly above and keeps the whole request, it keeps none itself: a first
//!   attempt that was not sent though the channel counted as ready is handed back, and comes again
//!   at once, in the same attempt, to wait here.
//!
//! # How it infers the state of the channel
//!
//! Readiness is inferred from calls: over a foreign channel there is nothing else to see.
//! [`Readiness`] says what can't be seen.
//!
//! | seen | the channel is | a call that waits | one that fails fast |
//! |---|---|---|---|
//! | nothing yet, or a connection lost that had answered | `Idle`, then `Connecting` | one tests it at once, the others wait | the same |
//! | a stream was opened, or any answer | `Ready` | goes | goes |
//! | a failed connect while `Ready` | tested once more at once, for the error may be an old one's | is that test, or waits for it | fails if it was this one's connect |
//! | a connection lost before any answer, the first in a row | tested once more at once | the same | the same |
//! | a failed connect of a test, one that takes 20 s, or a further connection lost before any answer | `TransientFailure` | waits; the first in line tests it when the backoff says so | fails at once, or is the test if one is due |
//! | a further connection closed by a GOAWAY before any answer | `Idle`: tested when the backoff says so | waits | waits |
//! | the worker gone, `poll_ready` failed | `Shutdown` | fails at once | fails at once |
//!
//! A stream counts as open when the transport reads the request. That is believed with care: not if
//! the call's own task reads it, as a layer below that collects requests does, and not after a
//! connection that was lost before any answer, for the same request may be what the server hangs up
//! on: then the others follow once the call is answered, or has lived for 250 ms. After a failed
//! connect for a request that had been read, only an answer makes the channel ready; the first
//! answer ends that. A call whose request was read is not sent again unless it is declared: a layer
//! below that collects requests may have sent it.
//!
//! A failed connect of a test may be that of an earlier one whose caller left meanwhile, for the transport
//! keeps its error: then the backoff counts from when that caller left, so that a call after a long pause
//! tests the channel once more at once.
//!
//! A balanced channel shows itself: three times within 10 s a call is answered after a failed
//! connect, and a connect fails after that, with no lost connection between. Then a failed connect
//! closes nothing: its call picks again, and pauses after nine failed picks in a row. The channel
//! is down after nine failed picks in a row of one call, or of many over 100 ms with no answer
//! between; a lost connection does not count. When all were down, up to eight tests follow a failed
//! one at once, for a balanced channel keeps the error of an old dial for each endpoint. After a
//! minute without another failed connect after an answer, it counts as one endpoint again.
//! [`endpoints`](WaitForReadyLayer::endpoints) says from the start how many there are.
//!
//! # Costs and limits
//!
//! - A waiting call has no timer but for its deadline; the first eight in line have one for the
//!   next dial. It holds 2.8 KiB with its task and a request of 100 bytes, some 4.2 KiB under all
//!   of `Resilience`, where tonic's own queue holds 3.2 KiB (`cargo test --test load waiting --
//!   --nocapture`), and as much more as its request is larger.
//! - A live request stream waits as long as no attempt read any of it.
//! - If the first eight are not polled, one timer that all share wakes the others 250 ms after the
//!   test was due. It is of the runtime in which a call was polled last: calls of one channel in
//!   two runtimes of which one is blocked may wait for that one.
//! - A test whose owner does not fetch its result is taken over after 250 ms, or the backoff if
//!   that is longer. A dial that says nothing is given up after 20 s, gRPC's minimum connect
//!   timeout: the endpoint's own is not known here, and what tonic's channel has begun to dial goes
//!   on, with the next dial in line behind it. Give the endpoint a `connect_timeout`, such as 5 s.
//! - Calls that were handed on before the first failed connect each make a dial, as those of a
//!   burst after the connection was lost while idle. HTTP/2 keepalive while idle lets the channel
//!   know before.
//! - An [attempt timeout](crate::call::CallOptions::attempt_timeout) counts the time to connect:
//!   what it ends is a failed attempt, not a failed connect, so make it longer than a dial may
//!   take.
//! - A server in the same process, or a mock in a test, that does not read the request in a task of
//!   its own is dialled, as far as can be seen, until it answers, or for 250 ms if the request is
//!   read: the first calls go one after the other.
//! - Without a deadline layer above, the caller's `grpc-timeout` bounds the wait but not a dial
//!   under way.

mod body;
mod call;
mod future;
mod layer;
mod pending;
mod service;

use crate::ready::WaitForReadyPolicy;
pub use crate::ready::{ConnectivityState, Readiness, ReadinessSnapshot};
pub use body::WaitBody;
pub use future::ResponseFuture;
pub use layer::{InvalidWait, WaitForReadyLayer};
pub use service::WaitForReady;
