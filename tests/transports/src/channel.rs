use std::pin::Pin;
use std::task::{Context, Poll};

use grpc_resilience::{BoxError, channel as ours};
use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::{self as tonics, Endpoint};
use tower::Service;

use crate::{ResponseBody, Transport};

/// A channel over either transport.
#[derive(Clone, Debug)]
pub enum Channel {
    /// tonic's.
    Tonic(tonics::Channel),
    /// This crate's.
    Ours(ours::Channel),
}

impl Channel {
    /// A channel over the transport of this test to an `http://` address; of one connection, as
    /// tonic's has.
    ///
    /// # Panics
    ///
    /// If this is no address, or outside of a tokio runtime.
    #[expect(clippy::unwrap_used, reason = "a test that can't be set up has failed")]
    #[must_use]
    pub fn to(uri: impl Into<String>) -> Self {
        match Transport::current() {
            Transport::Tonic => Endpoint::from_shared(uri.into())
                .unwrap()
                .connect_lazy()
                .into(),
            Transport::Ours => ours::Channel::builder(uri)
                .max_connections(1)
                .build()
                .unwrap()
                .into(),
        }
    }
}

impl From<tonics::Channel> for Channel {
    fn from(channel: tonics::Channel) -> Self {
        Self::Tonic(channel)
    }
}

impl From<ours::Channel> for Channel {
    fn from(channel: ours::Channel) -> Self {
        Self::Ours(channel)
    }
}

/// The future of [`Channel`].
pub type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, BoxError>> + Send>>;

impl Service<Request<Body>> for Channel {
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Tonic(it) => it.poll_ready(cx).map_err(Into::into),
            Self::Ours(it) => Service::<Request<Body>>::poll_ready(it, cx).map_err(Into::into),
        }
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        match self {
            Self::Tonic(it) => {
                let answer = it.call(request);
                Box::pin(async move { Ok(answer.await?.map(ResponseBody::Tonic)) })
            }
            Self::Ours(it) => {
                let answer = it.call(request);
                Box::pin(async move { Ok(answer.await?.map(ResponseBody::Ours)) })
            }
        }
    }
}
