//! A raw HTTP/2 peer whose every answer is scripted, for faults that no real server makes on demand.
//!
//! Frames are read and written by hand, so a script can refuse a stream, send a GOAWAY below or above it, cut the
//! socket between two frames, never open a stream slot, talk HTTP/1, or say nothing at all. What comes after the
//! script is a correct OK, so that a retry can succeed.
//!
//! ```
//! use peer::{Connection, LastStream, Peer, Reason, Step, Stream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let peer = Peer::start([
//!     // The first connection refuses one stream, answers the next, and then goes away gracefully.
//!     Connection::new()
//!         .streams([Stream::refuse(), Stream::ok(b"answer")])
//!         .goaway_after(2, LastStream::This, Reason::NO_ERROR),
//!     // The second reads the request and cuts the connection.
//!     Connection::new().streams([Stream::from([Step::AwaitRequest, Step::Abort])]),
//! ])
//! .await;
//! # assert!(peer.streams_seen().is_empty());
//! # assert!(peer.uri().starts_with("http://127.0.0.1:"));
//! # }
//! ```
//!
//! Limits: a request's head is read if it is one frame without padding; answers do not wait for the
//! client's window, so keep them under its first one (64 KiB by the protocol, 2 MiB with hyper).

mod address;
pub mod client;
mod connection;
pub mod connector;
pub mod crowd;
mod frame;
mod gate;
mod headers;
mod hpack;
mod journal;
mod peer;
mod player;
mod reason;
mod script;
mod step;
mod wire;

pub use address::{DeadPort, HangingPort};
pub use gate::Gate;
pub use headers::Headers;
pub use journal::{SeenReset, SeenStream};
pub use peer::Peer;
pub use reason::Reason;
pub use script::{Connection, Stream};
pub use step::{LastStream, Step};
pub use wire::Dialer;
