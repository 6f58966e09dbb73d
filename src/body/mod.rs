//! Request bodies that can be sent again.
//!
//! An HTTP body can be read once, so `http::Request` is no `Clone` and a retry can't just send it
//! twice. [`capture`] reads a body that is complete without waiting (a unary gRPC request always
//! is) as [`Bytes`](bytes::Bytes), with no lock and no task; every attempt then gets a [`Replay`]
//! of it. A body with frames still to come, a live stream, is handed back untouched but for what
//! was read, which goes first.
//!
//! A body type takes part by implementing [`RequestBody`]; tonic's and http-body-util's boxed
//! bodies do.

mod capture;
mod replay;
mod request;
mod waker;

pub use capture::{Capture, capture};
pub use replay::{Captured, Replay};
pub use request::RequestBody;
