use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};

use super::Replay;

/// A request body that can be made from a [`Replay`] of itself.
///
/// That is all a layer needs to send a request again without changing the type of its body, and
/// so to work over any service that takes it.
#[diagnostic::on_unimplemented(
    note = "`tonic::body::Body` implements it with grpc-resilience's feature `tonic`, which is on by default"
)]
pub trait RequestBody: Body<Data = Bytes> + Sized + Send + Unpin + 'static {
    /// Wraps a replay as a body of this type.
    fn from_replay(replay: Replay<Self>) -> Self;
}

#[cfg(feature = "tonic")]
impl RequestBody for tonic::body::Body {
    fn from_replay(replay: Replay<Self>) -> Self {
        Self::new(replay)
    }
}

impl<E: Send + 'static> RequestBody for UnsyncBoxBody<Bytes, E> {
    fn from_replay(replay: Replay<Self>) -> Self {
        replay.boxed_unsync()
    }
}

impl<E: Send + Sync + 'static> RequestBody for BoxBody<Bytes, E> {
    fn from_replay(replay: Replay<Self>) -> Self {
        replay.boxed()
    }
}
