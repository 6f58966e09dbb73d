//! A gRPC channel that knows its connections.
//!
//! [`Channel`] stands where tonic's stands, below a generated client or below the layers of this
//! crate. It connects to every address of its target, keeps the connections warm, and knows of each
//! call whether it was sent, and to which endpoint.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use grpc_resilience::channel::Channel;
//! use std::time::Duration;
//!
//! let channel = Channel::builder("ipv4:10.0.0.1:50051,10.0.0.2:50051").build()?;
//! // At start-up, where the program is of no use without its server:
//! if let Err(error) = channel.connected(Duration::from_millis(1)).await {
//!     println!("{error:?}\n{}", channel.snapshot());
//! }
//! // let mut orders = OrdersClient::new(channel);
//! # Ok(())
//! # }
//! ```
//!
//! - **Connections.** A connection is ready after the server's HTTP/2 SETTINGS *and* its answer to
//!   a first PING: a TCP handshake alone proves nothing. Streams in flight stay within the server's
//!   live limit, so a call without a stream waits here, and dropping it sends nothing. A request of
//!   one message leaves in one write.
//! - **Addresses** come from a [resolver](resolve), and follow its answers: an address that stays
//!   keeps its connection, and a removed one gets no new call while its running calls go on.
//! - **Calls** go to the endpoint that a [picker](pick) chooses, by default the less loaded of two.
//!   A retry avoids the endpoints where the call failed, and goes first to the leader that a server
//!   has named by `raft::not_leader`. While a connection is being made, calls wait; if none can be
//!   made, a call fails at once with UNAVAILABLE and the error of the last dial, or waits until its
//!   deadline with `request.call_options().wait_for_ready()`. The deadline is that of the call's
//!   context, its `grpc-timeout`, or [`Builder::timeout`], and bounds all of the call.
//! - **Ejection.** An endpoint that fails calls which others answer gets none for a second, and
//!   longer if it goes on; see [`Ejection`].
//! - **Failures** are [`TransportError`](crate::classify::TransportError)s, typed by how far the
//!   request provably got, with the endpoint. Every response names its endpoint in an extension,
//!   [`Endpoint`](crate::classify::Endpoint).
//! - **GOAWAY.** No new call goes to a connection that has received one; its replacement is dialled
//!   at once; streams that the server did not process are known. A Trailers-Only CANCELLED on such
//!   a connection counts as UNAVAILABLE, because servers built on gRPC's C core end calls in this
//!   way that they gave to no handler.
//! - **Silence.** If two attempts in a row [time out](crate::attempt_timeout) on a connection from
//!   which nothing is read, calls go to another one, which is dialled at once, until the silent one
//!   answers a PING. So an address that moved is found within two attempts. Without an answer in
//!   the [keepalive's time](Builder::keep_alive_timeout) the silent one is closed, and a WARN event
//!   says so (CONTRACT C22).
//! - **TLS** for `https:` targets, by rustls, with settings that may change while calls go on:
//!   [`TlsConfig`]. It needs the feature `tls-ring` or `tls-aws-lc`.
//! - **Hostile servers.** A server may send a hundred frames that no call asked for, and a hundred
//!   more in each second (CONTRACT C18; BENCHMARKS.md has their CPU time). They take less than
//!   1 MiB of memory, beside the responses that lie unread, which the flow-control windows
//!   bound. Beyond that, and when it breaks HTTP/2, its connection ends, the calls on it fail as
//!   lost, and one WARN event says why, until the cause changes.
//! - **Memory.** An idle connection holds some 3.6 KB beyond what h2 holds for it, a waiting call
//!   2.2 KB and a call in flight 1.8 KB, each with the task that awaits it and a request of five
//!   bytes (CONTRACT C15, BENCHMARKS.md). An idle channel has no timer.
//! - **Health.** With [`Builder::health_check`] each connection watches the health of its server,
//!   and calls go only where that is SERVING (gRFC A17). Clones of a channel share its watches; two
//!   channels to the same servers have watches of their own.
//!
//! It lives on the runtime in which it was built, and nothing of it outlives its last clone and its
//! last running call.

mod address;
mod balance;
mod board;
mod builder;
mod changes;
mod config;
mod connect;
mod connection;
mod connectivity;
mod core;
mod eject;
mod endpoint;
mod errors;
mod exchange;
mod future;
mod health;
mod invalid_channel;
mod lines;
mod load;
mod look;
pub mod pick;
mod reload;
pub mod resolve;
mod security;
mod service;
mod shared;
mod snapshot;
mod subchannel;
mod target;
mod terms;
mod timing;
mod unready;
mod view;

pub use address::Address;
pub use builder::Builder;
#[cfg(feature = "hyper-util")]
pub use connect::HyperConnector;
pub use connect::{Certificate, Identity, TlsConfig};
pub use connection::{DialError, Phase};
pub use connectivity::Connectivity;
pub use eject::Ejection;
pub use exchange::ResponseBody;
pub use future::ResponseFuture;
pub use health::{Health, Unhealthy};
pub use invalid_channel::InvalidChannel;
pub use service::Channel;
pub use snapshot::{ChannelSnapshot, ConnectionSnapshot, EndpointSnapshot, HealthSnapshot};
