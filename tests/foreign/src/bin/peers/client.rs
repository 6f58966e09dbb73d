use std::time::Duration;

use foreign::Failure;
use foreign::load::{CallId, Load, Running};
use foreign::tally::Tally;
use grpc_resilience::Resilience;
use grpc_resilience::stack::Resilient;
use test_protos::{EchoClient, EchoRequest, FILE_DESCRIPTOR_SET};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

pub(crate) type Client = EchoClient<Resilient<Channel>>;

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

    pub(crate) fn client(self, uri: &str) -> Result<Client, Failure> {
        let channel = Endpoint::from_shared(uri.to_owned())?.connect_lazy();
        Ok(EchoClient::new(self.stack()?.wrap(channel)))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "undeclared",
            Self::All => "declared",
        }
    }
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
