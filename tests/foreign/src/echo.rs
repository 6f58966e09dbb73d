//! The service of the tests, in this process.

use std::sync::{Arc, Mutex, PoisonError};

use test_protos::{Echo, EchoRequest, EchoResponse, EchoServer};
use tokio::time::Instant;
use tokio_stream::Empty;
use tonic::{Request, Response, Status, Streaming};

use crate::load::CallId;
use crate::oracle::Oracle;

/// Answers unary calls and client streams, and notes the id of each whose handler has a message.
#[must_use]
pub fn service() -> (EchoServer<Noting>, Begun) {
    let begun = Begun::default();
    (EchoServer::new(Noting(begun.clone())), begun)
}

/// Which calls began, and when.
#[derive(Clone, Debug, Default)]
pub struct Begun(Arc<Mutex<Vec<(CallId, Instant)>>>);

impl Begun {
    /// Notes a call.
    pub fn note(&self, id: CallId) {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.push((id, Instant::now()));
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<(CallId, Instant)> {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.clone()
    }

    /// How often each of them began.
    #[must_use]
    pub fn oracle(&self) -> Oracle {
        self.calls().into_iter().map(|(id, _)| id).collect()
    }
}

/// The service.
#[derive(Debug)]
pub struct Noting(Begun);

type Unary = Result<Response<EchoResponse>, Status>;
type Nothing = Empty<Result<EchoResponse, Status>>;

fn neither<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented(
        "this server answers unary calls and client streams",
    ))
}

#[tonic::async_trait]
impl Echo for Noting {
    type ServerStreamStream = Nothing;
    type ServerStreamIdempotentStream = Nothing;
    type BidiStreamStream = Nothing;

    // The handler notes the call: a stream without its message begins none.
    async fn unary(&self, request: Request<EchoRequest>) -> Unary {
        let id = CallId::of(request.metadata()).ok_or(Status::invalid_argument("no call id"))?;
        self.0.note(id);
        let EchoRequest { payload, text, .. } = request.into_inner();
        Ok(Response::new(EchoResponse {
            payload,
            text,
            index: 0,
        }))
    }

    async fn unary_idempotent(&self, request: Request<EchoRequest>) -> Unary {
        self.unary(request).await
    }

    async fn unary_no_side_effects(&self, _: Request<EchoRequest>) -> Unary {
        neither()
    }

    async fn unary_unknown(&self, _: Request<EchoRequest>) -> Unary {
        neither()
    }

    async fn server_stream(&self, _: Request<EchoRequest>) -> Result<Response<Nothing>, Status> {
        neither()
    }

    async fn server_stream_idempotent(
        &self,
        _: Request<EchoRequest>,
    ) -> Result<Response<Nothing>, Status> {
        neither()
    }

    // Messages run together are one message, and of a field's values the last counts.
    async fn client_stream(&self, request: Request<Streaming<EchoRequest>>) -> Unary {
        let id = CallId::of(request.metadata()).ok_or(Status::invalid_argument("no call id"))?;
        self.0.note(id);
        let mut requests = request.into_inner();
        let mut answer = EchoResponse::default();
        while let Some(EchoRequest { payload, text, .. }) = requests.message().await? {
            (answer.payload, answer.text) = (payload, text);
        }
        Ok(Response::new(answer))
    }

    async fn bidi_stream(
        &self,
        _: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<Nothing>, Status> {
        neither()
    }
}
