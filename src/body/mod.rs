//! Request bodies that can be sent again.
//!
//! An HTTP body can be read once, so `http::Request` is not `Clone` and a retry can't send it
//! twice. A [`Recording`] reads a body that is complete without waiting (a unary gRPC request
//! always is) as [`Bytes`](bytes::Bytes), without a lock or a task; every attempt then gets a
//! [`Replay`] of it. A live stream is never collected, because a bidirectional call would wait for
//! itself: its frames are kept as the current attempt reads them, and the next attempt reads the
//! kept frames and then the live rest.
//!
//! A request that exceeds the limit of the call or the [`ReplayBuffer`] of the channel goes on
//! without being kept and can't be sent again; [`NotReplayable`] is the reason.
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
pub use buffer::{NotReplayable, ReplayBuffer};
pub(crate) use here::InCall;
pub(crate) use link::{OpenRequest, Reader, RequestGuard};
pub(crate) use notice::LossNotice;
pub use recording::Recording;
pub(crate) use recording::guard;
pub use replay::Replay;
pub use request::RequestBody;

#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod tests;
