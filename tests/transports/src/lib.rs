//! tonic's channel and this crate's own behind one type, and tests that run over both.
//!
//! ```
//! use transports::{Channel, Transport};
//!
//! // Makes two tests: `it_dials_when_it_is_called::over_tonic` and `..::over_ours`.
//! #[transports::test]
//! async fn it_is_a_channel_of_its_transport() {
//!     let channel = Channel::to("http://127.0.0.1:50051");
//!     match Transport::current() {
//!         Transport::Tonic => assert!(matches!(channel, Channel::Tonic(_))),
//!         Transport::Ours => assert!(matches!(channel, Channel::Ours(_))),
//!     }
//! }
//! ```

mod body;
mod channel;
mod transport;

pub use body::ResponseBody;
pub use channel::{Channel, ResponseFuture};
pub use transport::Transport;
/// Makes a test of an `async fn` for each transport; the arguments are those of `#[tokio::test]`.
///
/// The tests of `async fn it_works()` are `it_works::over_tonic` and `it_works::over_ours`.
pub use transports_attribute::test;
