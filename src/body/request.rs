use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};

use super::Replay;
use super::cancel::cancelled_as;

/// A request body that can be created from a [`Replay`] of itself.
///
/// With this a layer sends a request again without changing the type of its body, so it works over
/// any service that accepts the body.
#[diagnostic::on_unimplemented(
    note = "`tonic::body::Body` implements it with grpc-resilience's feature `tonic`, which is on by default"
)]
pub trait RequestBody: Body<Data = Bytes> + Sized + Send + Unpin + 'static {
    /// Wraps a replay as a body of this type.
    fn from_replay(replay: Replay<Self>) -> Self;

    /// The error that makes the transport reset a stream with CANCEL; used for a failed attempt
    /// whose request was not read to its end.
    ///
    /// `None` if this type has no such error: then the stream stays open until the server or the
    /// connection ends it. Over hyper the error contains an `h2::Error` with that reason in its
    /// chain.
    #[must_use]
    fn cancelled() -> Option<Self::Error> {
        None
    }
}

#[cfg(feature = "tonic")]
impl RequestBody for tonic::body::Body {
    fn from_replay(replay: Replay<Self>) -> Self {
        Self::new(replay)
    }

    fn cancelled() -> Option<tonic::Status> {
        Some(super::cancel::cancel())
    }
}

impl<E: Send + 'static> RequestBody for UnsyncBoxBody<Bytes, E> {
    fn from_replay(replay: Replay<Self>) -> Self {
        replay.boxed_unsync()
    }

    fn cancelled() -> Option<E> {
        cancelled_as()
    }
}

impl<E: Send + Sync + 'static> RequestBody for BoxBody<Bytes, E> {
    fn from_replay(replay: Replay<Self>) -> Self {
        replay.boxed()
    }

    fn cancelled() -> Option<E> {
        cancelled_as()
    }
}
