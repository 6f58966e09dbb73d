use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use grpc_resilience::BoxError;
use grpc_resilience::channel;
use http_body::{Body, Frame, SizeHint};

use crate::Transport;

/// The body of a response.
#[derive(Debug)]
pub enum ResponseBody {
    /// tonic's.
    Tonic(tonic::body::Body),
    /// This crate's.
    Ours(channel::ResponseBody),
}

/// An empty body, which an interceptor needs that ends a call.
impl Default for ResponseBody {
    fn default() -> Self {
        match Transport::current() {
            Transport::Tonic => Self::Tonic(tonic::body::Body::default()),
            Transport::Ours => Self::Ours(channel::ResponseBody::default()),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Tonic(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Ours(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Tonic(body) => body.is_end_stream(),
            Self::Ours(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Tonic(body) => body.size_hint(),
            Self::Ours(body) => body.size_hint(),
        }
    }
}
