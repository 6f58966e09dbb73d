//! The clients: what they are told, and whose channel is below them.

use std::sync::Arc;
use std::time::Duration;

use foreign::Failure;
use foreign::load::{CallId, Load, Running};
use foreign::over::{self, Over, Sends, Wrapped};
use foreign::tally::Tally;
use grpc_resilience::Resilience;
use grpc_resilience::channel::{Builder, Channel};
use test_protos::{EchoClient, EchoRequest, FILE_DESCRIPTOR_SET};
use tonic::{Request, Status};

pub(crate) type Client = EchoClient<Wrapped>;

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

/// A client of this server over a channel as it is by default.
pub(crate) fn client(over: Over, told: Told, uri: &str) -> Result<Client, Failure> {
    counting(over, &told.stack()?, uri, &Arc::default())
}

/// The same under this stack, with a count of what is sent.
pub(crate) fn counting(
    over: Over,
    stack: &Resilience,
    uri: &str,
    sends: &Arc<Sends>,
) -> Result<Client, Failure> {
    let channel = over.wrap(stack, &[uri.to_owned()], sends)?;
    Ok(EchoClient::new(channel))
}

/// A client over this crate's channel, and the channel.
pub(crate) fn ours(
    stack: &Resilience,
    builder: Builder,
    sends: &Arc<Sends>,
) -> Result<(Client, Channel), Failure> {
    let (wrapped, channel) = over::ours(stack, builder, sends)?;
    Ok((EchoClient::new(wrapped), channel))
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
