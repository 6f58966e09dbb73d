//! tower layers and a channel that keep gRPC calls going while servers die, move and overload.
//!
//! Each layer works alone over any tonic channel, under the unmodified generated client. Together
//! the layers cooperate only through the request's [`call::Context`].
//!
//! The crate also has a channel of its own, `channel::Channel`, which stands where tonic's stands:
//! it connects to all servers of a name, a list or Consul, and leaves out those that are down, that
//! are not healthy, or that fail calls. It knows of more failed calls that they never ran, so the
//! layers repeat more of them. The [guide] compares both channels.
//!
//! ```no_run
//! use grpc_resilience::{
//!     BudgetLayer, DeadlineLayer, IdempotencyLayer, RetryLayer, RetryPolicy, TokenBucket,
//!     WaitForReadyLayer,
//! };
//! use std::time::Duration;
//! use tonic::transport::Endpoint;
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let channel = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new().default_timeout(Duration::from_secs(5)))
//!     .layer(IdempotencyLayer::new().idempotent("/orders.v1.Orders/Get*")?)
//!     .layer(BudgetLayer::new(TokenBucket::default()))
//!     .layer(RetryLayer::new(RetryPolicy::new().max_attempts(4)?))
//!     .layer(WaitForReadyLayer::new())
//!     .service(Endpoint::from_static("http://orders:50051").connect_lazy());
//! // let mut orders = OrdersClient::new(channel);
//! # Ok(())
//! # }
//! ```
//!
//! [`Resilience`] combines the layers in the right order. [`CallOptionsExt`] sets options of one
//! call.
//!
//! | module | purpose |
//! |---|---|
//! | [`retry`] | attempts, backoff, server hints, transparent retries |
//! | [`idempotency`] | which methods may be repeated |
//! | [`deadline`] | one instant at which a call ends |
//! | [`wait_for_ready`] | calls wait while the channel is down |
//! | [`attempt_timeout`] | a bound for each single attempt |
//! | [`budget`] | a bound for extra attempts, by tokens or a percentage |
//! | [`adaptive_throttle`] | holds back calls that the server would reject |
//! | [`stack`] | [`Resilience`]: all of the above except adaptive throttling |
//! | `streams` | server streams that come back where they broke off |
//! | `channel` | this crate's own channel: connections, names, pickers, health, ejection |
//! | `consul` | registers servers with Consul, where the channel finds them |
//! | `server_deadline` | stops handlers at their caller's deadline |
//! | `rate_limit` | a server's quotas; a refused caller returns once, on time |
//! | `leader_health` | a server's health says whether it is the leader |
//! | `raft` | statuses that say whether a request may have been applied |
//! | `drain` | stops a server without losing a call, and ends its connections by age |
//! | [`guide`] | which channel to take, how to come from others, and rollouts without a lost call |
//!
//! The features `tonic` (default) supports tonic's bodies, errors and `Request`; `channel`
//! (default) adds the channel; `dns` lets it look names up by hickory, which knows their TTL;
//! `consul` lets it follow a service in Consul, and adds the module of that name;
//! `server` adds the five modules of servers and enables tonic's own `server` feature.
//!
//! TLS of the channel is off by default, as in tonic, and its features have tonic's names:
//! `tls-ring` or `tls-aws-lc` for the cryptography, `tls-native-roots` and `tls-webpki-roots` for
//! roots that need not be given, and `tls-connect-info`, which lets a tonic server know its peers'
//! addresses where it accepts TLS connections by itself, and which the others include. `hyper-util`
//! adapts the connectors of hyper-util, such as those to proxies.
//!
//! # What it logs
//!
//! The crate emits `tracing` events with the target `grpc_resilience`. A call that is answered at
//! its first attempt emits none. Each occurrence is one event, for any combination of layers.
//!
//! DEBUG:
//!
//! - An attempt failed and is retried, or a request that was not processed is sent again: `method`,
//!   `attempt`, `code`, `reason`, `delay`, `error`.
//! - A call waits for the channel, once a call: `method`, `attempt`; the channel's last failure, if
//!   there was one, as `channel_code`, `channel_reason` and `channel_error`; the `delay` until the
//!   next dial, if none is under way. Over the crate's own channel, a call that finds it down, and
//!   without `delay`.
//! - A call failed, by any layer's decision: `method`, `attempts` (the number begun), `code`,
//!   `reason`, `give_up`, `error`.
//! - The waiting calls go to the channel: `calls`.
//! - A stream that comes back broke off, or the server ended it, and it is opened again: `method`
//!   if it is named, `attempt`, `code`, `reason`, `endpoint`, `delay`, `error`; for lack of a
//!   permit of the budget it waits longer: `delay`; it failed: `attempts`, `give_up`.
//! - On a server, a call was refused because it is over its quota or past its caller's deadline, or
//!   a handler was stopped at that deadline: `method`, `after`, `timeout`.
//!
//! INFO:
//!
//! - A retry budget is used up; and it has filled again, after 10 s without a refusal:
//!   `refused_for`.
//! - A channel is down, once an outage: `code`, `reason`, `delay`, `error`; and it is back:
//!   `down_for`.
//! - Of the crate's own channel: an endpoint changed its state: `before`, `state`, `error` and
//!   `delay` if no connection can be made; or its health: `service`, `before`, `health`.
//! - Nothing was read from a connection while attempts timed out on it: `timeouts`; and it answers
//!   again: `silent_for`.
//! - An endpoint is ejected: `reason`, `failures_in_a_row`, `calls`, `failures`, `better_rate`,
//!   `times`, `ejected`, `most`, `lasts`. It stays ejected: `times`, `lasts`. It is to be probed,
//!   or is back: `was_out`. All ready endpoints fail or are ejected, so all are used, or no longer:
//!   `ready`, `ejected`, `failing`.
//! - The addresses of a channel changed: `resolved`, `endpoints`, `added`, `removed`; or they are
//!   resolved again: `resolved`, `down_for`.
//! - Enough endpoints are healthy again for `panic_below`: `channel`, `healthy`, `connected`,
//!   `panic_below`.
//! - Consul's agent answers again, or a server that it had forgotten is registered again: `id`.
//! - A server drains, one event a step: it begins (`notice`, `grace`), it is announced, it sends
//!   GOAWAY (`connections`), it is over (`after`).
//!
//! WARN:
//!
//! - A channel is shut down, or it is down, or an endpoint of the crate's own channel, for a reason
//!   that waiting rarely cures: the fields of a channel that is down, or of a change of state, and
//!   `fault`.
//! - New TLS settings of a channel are of no use, once a cause: `error`. No connection can be made
//!   with new ones: `endpoint`, `error`.
//! - The addresses of a channel can't be resolved, or it has none any more, once each: `resolved`,
//!   `error`.
//! - Too few endpoints are healthy for `panic_below`: `channel`, `healthy`, `connected`,
//!   `panic_below`. The health of one can't be checked: `endpoint`, `service`, `reason`.
//! - A server breaks HTTP/2 or floods its connection: `endpoint`, `reason`. It closed a connection
//!   for too many PINGs: `endpoint`, `keep_alive_interval`. It left the PING of a silent connection
//!   unanswered: `timeouts`.
//! - Consul's agent does not register or deregister a server: `id`, `error`; an instance has no IP
//!   address and port: `service`, `address`.
//! - A hook of a drain failed: `error`; hooks did not end in time: `hooks`, `timeout`; the grace of
//!   a drain is over and connections are cut off: `after`, `connections`.
//! - A stream can't resume where it broke off, so messages are lost: `on_lost`, and the fields of
//!   the failure. More messages came without a token than it may hold, once a stream: `items`,
//!   `bytes`.
//! - Wrong configuration, each once: layers in an order that can't work, a timeout without effect
//!   (`attempt_timeout`, `default_timeout`), a pattern without a method (`setter`, `pattern`,
//!   `exception`), an option without its layer (`option`, `layer`), a server's layer on a client.
//! - A method was called that neither a declaration nor the descriptors or tables contain, once a
//!   method, if any are given: `method`.
//! - An error of a type that the crate does not know, once: `chain`.
//!
//! `attempt` is the number of the attempt, from 1, and absent without a retry layer. `code` is
//! gRPC's name, `reason` the name of a [`classify::Reason`], `give_up` of a [`GiveUp`], `fault` of
//! a [`classify::ConnectFault`], and `error` the message of the status. Over the crate's own
//! channel `endpoint` is the address; over others no event has it. To see the retries of a service,
//! set `RUST_LOG=info,grpc_resilience=debug`.
//!
//! A rule that is cited as "CONTRACT R6" is defined under that id in the repository's
//! `docs/CONTRACT.md`, with its source.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backoff;
pub mod body;
pub mod call;
#[cfg(feature = "channel")]
pub mod channel;
pub mod classify;
#[cfg(feature = "consul")]
pub mod consul;
mod dispatch;
pub mod error;
mod events;
pub mod grpc;
pub mod guide;
mod kernel;
mod layers;
pub mod methods;
mod ready;
pub mod report;
#[cfg(feature = "server")]
mod server;
pub mod stack;
#[cfg(feature = "tonic")]
pub mod streams;

/// For the tests of this repository. It is no API: anything here may change in any release.
#[doc(hidden)]
pub mod __internal {
    pub use crate::call::internal::{bound, is_followed, parent_call, stated_deadline};
    #[cfg(feature = "channel")]
    pub use crate::channel::pick::internal::Endpoints;
    pub use crate::classify::answer::{answer, head, trailers};
    pub use crate::classify::failure::failure;
    pub use crate::grpc::headers::{DETAILS, MESSAGE, PUSHBACK, STATUS, TIMEOUT};
    pub use crate::grpc::pushback::Pushback;
    pub use crate::grpc::retry_info::retry_delay;
    pub use crate::grpc::status::remove_malformed_details;
    pub use crate::grpc::timeout::{InvalidTimeout, parse_timeout, render_timeout};
}

pub use layers::{
    adaptive_throttle, attempt_timeout, budget, deadline, idempotency, retry, wait_for_ready,
};

pub use adaptive_throttle::AdaptiveThrottleLayer;
pub use attempt_timeout::AttemptTimeoutLayer;
pub use budget::{BudgetLayer, PercentageBudget, TokenBucket};
pub use call::CallOptionsExt;
pub use deadline::DeadlineLayer;
pub use error::{BoxError, Error, GiveUp};
pub use idempotency::{IdempotencyKey, IdempotencyLayer};
pub use report::CallReport;
pub use retry::{RetryLayer, RetryPolicy};
#[cfg(feature = "server")]
pub use server::{
    deadline::{self as server_deadline, ServerDeadlineLayer},
    drain::{self, Drain},
    leader_health, raft,
    rate_limit::{self, ServerRateLimitLayer},
};
pub use stack::{Resilience, Resilient};
pub use wait_for_ready::WaitForReadyLayer;
