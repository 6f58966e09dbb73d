//! Lets calls wait while the channel is down, instead of failing.
//!
//! A call that provably was never sent, because no connection could be made, waits with connection
//! backoff and is sent again until its deadline, whether declared idempotent or not. While the
//! channel is down, one call at a time probes it on schedule; the others wait for the result and
//! are sent in order of arrival.
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
//! Per call: `request.call_options().fail_fast()`, or `.wait_for_ready()` if the layer is set to
//! [`fail_fast`](WaitForReadyLayer::fail_fast). A failed fail-fast attempt counts as an attempt: a
//! retry layer above makes the next one after its backoff, as in gRPC. To fail at once, set
//! `.never_retry()` too.
//!
//! - **Reads** the wait mode and the deadline (or the caller's `grpc-timeout`) from the
//!   [`Context`](crate::call::Context). **Writes** there that it holds a call while the channel is
//!   not ready, so that a layer below which should not stand there says so.
//! - **Defaults**: calls wait; the connection backoff is 100 ms, x1.6, +-20 %, at most 800 ms
//!   during the first 10 s of an outage, then up to 10 s
//!   ([`ConnectionBackoff`](crate::backoff::ConnectionBackoff)); at most 10,000 calls and 64 MiB
//!   wait; 10,000 calls a second are released.
//! - **Errors**: UNAVAILABLE at once for a fail-fast call while the channel is known to be down;
//!   DEADLINE_EXCEEDED with the message that the call waited for the channel to become ready, and
//!   the reason why it did not; RESOURCE_EXHAUSTED at once if too many calls wait
//!   ([`GiveUp::QueueFull`](crate::GiveUp::QueueFull)). If a connection fails for a reason that
//!   waiting rarely cures, such as an untrusted certificate, the error names the reason and its
//!   remedy ([`ConnectFault`](crate::classify::ConnectFault)).
//! - **Logs** (target `grpc_resilience`) state changes: INFO when the channel is down, once for
//!   each outage, and when a call is answered after that; WARN if a fault is named, and when the
//!   channel is shut down. DEBUG for each call that waits.
//! - **Interactions**: stands closest to the channel, above layers that bound one attempt. Above a
//!   retry layer it works too, but a probe then ends with the response instead of the open stream:
//!   until the first response, calls are sent one by one. The retry layer handles requests that
//!   never left the client for another reason, and requests that the server refused. In
//!   `Resilience` the retry layer stands directly above and keeps the whole request, so this layer
//!   keeps none: it hands back a first attempt that was not sent although the channel counted as
//!   ready. That attempt returns at once, under its number, and waits here.
//!
//! # Inferred channel state
//!
//! The layer infers readiness from calls, because a foreign channel shows nothing else.
//! [`Readiness`] describes the limits of that.
//!
//! | observed | state | a waiting call | a fail-fast call |
//! |---|---|---|---|
//! | nothing; a connection lost after a response | `Idle`, `Connecting` | probes (1) | probes (1) |
//! | an open stream, or any response | `Ready` | is sent | is sent |
//! | a failed connect while `Ready` | probed again (2) | probes (1) | fails (3) |
//! | a first connection lost before any response | probed again | probes (1) | fails (3) |
//! | a failed probe (4) | `TransientFailure` | waits (5) | fails, or probes if due |
//! | a further connection closed by GOAWAY (6) | `Idle`, with backoff | waits | waits |
//! | worker gone, or `poll_ready` failed | `Shutdown` | fails at once | fails at once |
//!
//! 1. One call probes at once, the others wait for the result.
//! 2. At once, because the error may belong to an earlier dial.
//! 3. If the failure was of its own connection; otherwise it probes or waits for the probe.
//! 4. A failed connect, a dial of 20 s, or a further connection lost before any response.
//! 5. The first in line probes when the backoff ends.
//! 6. Before any response. The next probe is due when the backoff ends.
//!
//! A stream counts as open when the transport reads the request, with two exceptions: if the call's
//! own task reads it, as a layer below that collects requests does; and after a connection that was
//! lost before any response, because this request may be the reason why the server hangs up. Then
//! the other calls follow once the call is answered or has run for 250 ms. After a failed connect
//! for a request that had been read, only a response makes the channel ready; this rule ends with
//! the first response. A call whose request was read is not sent again unless it is declared safe
//! to repeat, because a layer below that collects requests may have sent it.
//!
//! The failed connect of a probe may belong to an earlier probe whose caller has left, because the
//! transport keeps its error. The backoff then counts from the time when that caller left, so that
//! a call after a long pause probes the channel again at once.
//!
//! The layer detects a balanced channel: three times within 10 s, a call is answered after a failed
//! connect and another connect fails after that, without a lost connection in between. From then
//! on a failed connect does not close the channel to others: its call picks again, and pauses after
//! nine failed picks in a row. The channel is down after nine failed picks in a row of one call, or
//! of several calls over 100 ms without a response in between; a lost connection does not count.
//! After all endpoints were down, up to eight probes follow a failed one at once, because a
//! balanced channel keeps the error of an old dial for each endpoint. After a minute without
//! another failed connect after a response, the channel counts as one endpoint again.
//! [`endpoints`](WaitForReadyLayer::endpoints) sets the number from the start.
//!
//! # Costs and limits
//!
//! - A waiting call has a timer only for its deadline; the first eight in line also have one for
//!   the next dial. It holds 2.8 KiB with its task and a request of 100 bytes, about 4.2 KiB in a
//!   whole `Resilience` stack; tonic's own queue holds 3.2 KiB. Measured by
//!   `cargo test --test load waiting -- --nocapture`. A larger request adds its size.
//! - A streaming request can wait as long as no attempt has read any of it.
//! - If the first eight are not polled, a shared timer wakes the others 250 ms after the probe was
//!   due. The timer belongs to the runtime in which a call was polled last: if the calls of a
//!   channel run in two runtimes and one of these is blocked, all may wait for it.
//! - If the caller of a probe does not poll its result, another call takes the probe over after
//!   250 ms, or after the backoff if that is longer. A dial without a result is given up after
//!   20 s, gRPC's minimum connect timeout, because the endpoint's own timeout is unknown here. The
//!   dial in tonic's channel goes on, and the next dial waits behind it. Give the endpoint a
//!   `connect_timeout`, such as 5 s.
//! - Each call sent before the first failed connect makes a dial, for example each call of a burst
//!   after the connection was lost while idle. HTTP/2 keepalive while idle detects the loss
//!   earlier.
//! - An [attempt timeout](crate::call::CallOptions::attempt_timeout) includes the time to connect:
//!   it causes a failed attempt, not a failed connect, so set it longer than a dial may take.
//! - A server in the same process, or a mock in a test, that does not read the request in a task of
//!   its own looks like a dial until it answers, or for 250 ms if it reads the request: the first
//!   calls are sent one by one.
//! - Without a deadline layer above, the caller's `grpc-timeout` bounds the wait but not a running
//!   dial.

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
