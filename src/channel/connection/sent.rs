//! What a request is sent with, and what becomes of it.

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use http::Request;

/// A body frame that goes with the head.
pub(crate) enum First {
    /// The request has no body.
    None,
    /// All of the body.
    Whole(Bytes),
    /// The body follows.
    Follows,
}

/// A request that was not given to h2, whole.
pub(crate) struct Unsent {
    pub(crate) head: Request<()>,
    pub(crate) first: First,
    pub(crate) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The connection takes no call any more.
    Gone,
    /// The peer has lowered its limit, and h2 holds a stream.
    Held,
}

/// What became of a request.
pub(crate) enum Sent {
    /// h2 has it.
    Yes(ResponseFuture, SendStream<Bytes>),
    No(Box<Unsent>),
    /// h2 refuses its head.
    Malformed(h2::Error),
}

/// Another one like it.
pub(super) fn copy(head: &Request<()>) -> Request<()> {
    let mut copy = Request::new(());
    copy.method_mut().clone_from(head.method());
    copy.uri_mut().clone_from(head.uri());
    *copy.version_mut() = head.version();
    copy.headers_mut().clone_from(head.headers());
    copy
}
