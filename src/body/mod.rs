//! Request bodies that can be sent again.
//!
//! An HTTP body can be read once, so `http::Request` is no `Clone` and a retry can't just send it
//! twice. The layers read a body that is complete without waiting (a unary gRPC request
//! always is) as [`Bytes`](bytes::Bytes), with no lock and no task; every attempt then gets a
//! [`Replay`] of it. A body with frames still to come, a live stream, is never collected, which
//! would keep a bidirectional call waiting for itself: its frames are kept as the attempt under way
//! reads them, and the next attempt reads those and then the live rest.
//!
//! What does not fit, into the limit of the call or into the replay buffer of the channel, goes
//! on without being kept and can't be sent again.
//!
//! A body type supports this by implementing [`RequestBody`]; tonic's and http-body-util's boxed
//! bodies do.

mod buffer;
#[cfg_attr(not(feature = "tonic"), path = "no_cancel.rs")]
mod cancel;
mod capture;
mod captured;
mod frame_log;
mod here;
mod link;
mod live;
mod notice;
mod recording;
mod replay;
mod request;
mod tee;
mod waker;

pub(crate) use buffer::WaitingShare;
pub(crate) use buffer::{NotReplayable, ReplayBuffer};
pub(crate) use here::InCall;
pub(crate) use link::{OpenRequest, Reader, RequestGuard};
pub(crate) use notice::LossNotice;
pub(crate) use recording::Recording;
pub(crate) use recording::guard;
pub use replay::Replay;
pub use request::RequestBody;

#[cfg(test)]
mod tests;
