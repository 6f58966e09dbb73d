//! The clients: what they are told, and whose channel is below them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use foreign::Failure;
use foreign::load::{CallId, Load, Running};
use foreign::tally::Tally;
use grpc_resilience::channel::{self, Channel};
use grpc_resilience::classify::{Reason, TransportError};
use grpc_resilience::{BoxError, Error, Resilience};
use test_protos::{EchoClient, EchoRequest, FILE_DESCRIPTOR_SET};
use tonic::body::Body;
use tonic::transport::Endpoint;
use tonic::{Request, Status};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt as _};

/// The same type over both channels.
pub(crate) type Client =
    EchoClient<BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Error>>;

/// What the client is told about the methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing: no declaration and no descriptors.
    Nothing,
    /// The descriptors, and that every method is idempotent.
    All,
}

impl Told {
    /// The stack as the README sets it up.
    pub(crate) fn stack(self) -> Result<Resilience, Failure> {
        let stack = Resilience::new().default_timeout(Duration::from_secs(5));
        Ok(match self {
            Self::Nothing => stack,
            Self::All => stack
                .descriptors(FILE_DESCRIPTOR_SET)?
                .idempotent("/test.v1.Echo/*")?,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "undeclared",
            Self::All => "declared",
        }
    }
}

/// Whose channel is below the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Over {
    /// tonic's.
    Tonic,
    /// This crate's.
    Ours,
}

impl Over {
    /// A client of this server over a channel as it is by default.
    pub(crate) fn client(self, told: Told, uri: &str) -> Result<Client, Failure> {
        self.counting(&told.stack()?, uri, &Arc::default())
    }

    /// The same under this stack, with a count of what is sent.
    pub(crate) fn counting(
        self,
        stack: &Resilience,
        uri: &str,
        sends: &Arc<Sends>,
    ) -> Result<Client, Failure> {
        let counted = Arc::clone(sends);
        let count = ServiceBuilder::new().map_request(move |request: http::Request<Body>| {
            counted.sent.fetch_add(1, Relaxed);
            request
        });
        Ok(match self {
            Self::Tonic => {
                let channel = Endpoint::from_shared(uri.to_owned())?.connect_lazy();
                boxed(stack.wrap(count.service(channel)))
            }
            Self::Ours => ours(stack, Channel::builder(uri), sends)?.0,
        })
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tonic => "over tonic's",
            Self::Ours => "over ours",
        })
    }
}

/// What a stack handed to its channel.
#[derive(Debug, Default)]
pub(crate) struct Sends {
    sent: AtomicU64,
    refused: AtomicU64,
}

impl Sends {
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Those that the server refused by a reset of the stream, as far as the channel says that.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

/// A client over this crate's channel, and the channel.
pub(crate) fn ours(
    stack: &Resilience,
    builder: channel::Builder,
    sends: &Arc<Sends>,
) -> Result<(Client, Channel), Failure> {
    let channel = builder.build()?;
    let (sent, refused) = (Arc::clone(sends), Arc::clone(sends));
    let counted = ServiceBuilder::new()
        .map_request(move |request: http::Request<Body>| {
            sent.sent.fetch_add(1, Relaxed);
            request
        })
        .map_err(move |error: TransportError| {
            if error.verdict().reason == Reason::StreamRefused {
                refused.refused.fetch_add(1, Relaxed);
            }
            error
        })
        .service(channel.clone());
    Ok((boxed(stack.wrap(counted)), channel))
}

fn boxed<S, B>(service: S) -> Client
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error = Error>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let service = service.map_response(|answer: http::Response<B>| answer.map(Body::new));
    EchoClient::new(BoxCloneSyncService::new(service))
}

/// Unary calls and client streams over one channel, made by as many workers each.
#[derive(Debug)]
pub(crate) struct Mixed {
    unary: Running,
    streams: Running,
}

impl Mixed {
    /// Starts two such loads, half of the callers in each.
    pub(crate) fn start(load: &Load, client: &Client) -> Self {
        let (unary, streams) = (client.clone(), client.clone());
        Self {
            unary: load.start(move |id| unary_call(unary.clone(), id)),
            streams: load.start(move |id| client_stream(streams.clone(), id)),
        }
    }

    pub(crate) async fn finish(self) -> Result<Tally, Failure> {
        Ok(self.unary.finish().await?.and(self.streams.finish().await?))
    }

    pub(crate) async fn stop(self) -> Result<Tally, Failure> {
        let (unary, streams) = tokio::try_join!(self.unary.stop(), self.streams.stop())?;
        Ok(unary.and(streams))
    }
}

pub(crate) async fn unary_call(mut client: Client, id: CallId) -> Result<(), Status> {
    let answer = client.unary(id.request(message(id))).await?;
    answered(id, &answer.into_inner().text)
}

/// A call whose handler takes this long.
pub(crate) async fn waiting_call(
    mut client: Client,
    id: CallId,
    handler: Duration,
) -> Result<(), Status> {
    let mut request = id.request(message(id));
    let wait = format!("wait {}", handler.as_millis());
    let wait = wait.parse().map_err(|_| Status::internal(wait))?;
    request.metadata_mut().insert("x-answer", wait);
    let answer = client.unary(request).await?;
    answered(id, &answer.into_inner().text)
}

pub(crate) async fn client_stream(mut client: Client, id: CallId) -> Result<(), Status> {
    let messages = [message(id), message(id), message(id)];
    let answer = client.client_stream(streamed(id, messages.into())).await?;
    answered(id, &answer.into_inner().text)
}

/// A request that streams these messages.
pub(crate) fn streamed(
    id: CallId,
    messages: Vec<EchoRequest>,
) -> Request<impl tokio_stream::Stream<Item = EchoRequest>> {
    id.request(tokio_stream::iter(messages))
}

fn message(id: CallId) -> EchoRequest {
    EchoRequest {
        text: id.to_string(),
        ..EchoRequest::default()
    }
}

/// The servers run messages together, and of a field's values the last counts.
fn answered(id: CallId, text: &str) -> Result<(), Status> {
    if text == id.to_string() {
        return Ok(());
    }
    Err(Status::internal(format!("wrong answer: {text:?}")))
}
