//! The real service: it says what it hears.

use std::pin::Pin;

use bytes::BytesMut;
use test_protos::{Echo, EchoRequest, EchoResponse};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

/// `test.v1.Echo`, which says what it hears.
///
/// Unary methods answer with the request's payload and text; server streams send `repeat` answers like that, numbered
/// by `index`; `ClientStream` answers with all payloads and all texts run together; `BidiStream` answers each message
/// as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoService;

/// The paths of [`EchoService`]'s methods.
pub mod method {
    /// Declares no idempotency level.
    pub const UNARY: &str = "/test.v1.Echo/Unary";
    /// Declared IDEMPOTENT.
    pub const UNARY_IDEMPOTENT: &str = "/test.v1.Echo/UnaryIdempotent";
    /// Declared `NO_SIDE_EFFECTS`.
    pub const UNARY_NO_SIDE_EFFECTS: &str = "/test.v1.Echo/UnaryNoSideEffects";
    /// Declared `IDEMPOTENCY_UNKNOWN`.
    pub const UNARY_UNKNOWN: &str = "/test.v1.Echo/UnaryUnknown";
    /// Streams answers; declares no idempotency level.
    pub const SERVER_STREAM: &str = "/test.v1.Echo/ServerStream";
    /// Streams answers; declared IDEMPOTENT.
    pub const SERVER_STREAM_IDEMPOTENT: &str = "/test.v1.Echo/ServerStreamIdempotent";
    /// Streams requests; declares no idempotency level.
    pub const CLIENT_STREAM: &str = "/test.v1.Echo/ClientStream";
    /// Streams both ways; declares no idempotency level.
    pub const BIDI_STREAM: &str = "/test.v1.Echo/BidiStream";
}

type Answers = Pin<Box<dyn Stream<Item = Result<EchoResponse, Status>> + Send>>;
type Unary = Result<Response<EchoResponse>, Status>;

fn echo(request: EchoRequest, index: u32) -> EchoResponse {
    EchoResponse {
        payload: request.payload,
        text: request.text,
        index,
    }
}

fn once(request: Request<EchoRequest>) -> Response<EchoResponse> {
    Response::new(echo(request.into_inner(), 0))
}

fn repeated(request: Request<EchoRequest>) -> Response<Answers> {
    let request = request.into_inner();
    let answers = (0..request.repeat).map(move |index| Ok(echo(request.clone(), index)));
    Response::new(Box::pin(tokio_stream::iter(answers)))
}

#[tonic::async_trait]
impl Echo for EchoService {
    type ServerStreamStream = Answers;
    type ServerStreamIdempotentStream = Answers;
    type BidiStreamStream = Answers;

    async fn unary(&self, request: Request<EchoRequest>) -> Unary {
        Ok(once(request))
    }

    async fn unary_idempotent(&self, request: Request<EchoRequest>) -> Unary {
        Ok(once(request))
    }

    async fn unary_no_side_effects(&self, request: Request<EchoRequest>) -> Unary {
        Ok(once(request))
    }

    async fn unary_unknown(&self, request: Request<EchoRequest>) -> Unary {
        Ok(once(request))
    }

    async fn server_stream(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<Answers>, Status> {
        Ok(repeated(request))
    }

    async fn server_stream_idempotent(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<Answers>, Status> {
        Ok(repeated(request))
    }

    async fn client_stream(&self, request: Request<Streaming<EchoRequest>>) -> Unary {
        let mut requests = request.into_inner();
        let mut payload = BytesMut::new();
        let mut text = String::new();
        while let Some(request) = requests.message().await? {
            payload.extend_from_slice(&request.payload);
            text.push_str(&request.text);
        }
        Ok(Response::new(EchoResponse {
            payload: payload.freeze(),
            text,
            index: 0,
        }))
    }

    async fn bidi_stream(
        &self,
        request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let mut index = 0;
        let answers = request.into_inner().map(move |request| {
            let answer = echo(request?, index);
            index += 1;
            Ok(answer)
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
