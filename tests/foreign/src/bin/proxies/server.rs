//! The server behind the proxies.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use foreign::Failure;
use foreign::load::CallId;
use foreign::oracle::Oracle;
use test_protos::{Echo, EchoRequest, EchoResponse, EchoServer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::Empty;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

/// Answers unary calls, and notes the id of each that its handler begins.
pub(crate) struct Server {
    pub(crate) port: u16,
    begun: Arc<Mutex<Vec<CallId>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let begun = Arc::default();
        let service = EchoServer::new(Noting(Arc::clone(&begun)));
        let serving = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                eprintln!("the server behind the proxy failed: {error}");
            }
        });
        Ok(Self { port, begun, task })
    }

    pub(crate) fn begun(&self) -> Oracle {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.iter().copied().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Noting(Arc<Mutex<Vec<CallId>>>);

type Unary = Result<Response<EchoResponse>, Status>;
type Nothing = Empty<Result<EchoResponse, Status>>;

fn only_unary<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("this server answers unary calls"))
}

#[tonic::async_trait]
impl Echo for Noting {
    type ServerStreamStream = Nothing;
    type ServerStreamIdempotentStream = Nothing;
    type BidiStreamStream = Nothing;

    // The handler notes the call: a stream without its message begins none.
    async fn unary(&self, request: Request<EchoRequest>) -> Unary {
        let id = CallId::of(request.metadata()).ok_or(Status::invalid_argument("no call id"))?;
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.push(id);
        let EchoRequest { payload, text, .. } = request.into_inner();
        Ok(Response::new(EchoResponse {
            payload,
            text,
            index: 0,
        }))
    }

    async fn unary_idempotent(&self, _: Request<EchoRequest>) -> Unary {
        only_unary()
    }

    async fn unary_no_side_effects(&self, _: Request<EchoRequest>) -> Unary {
        only_unary()
    }

    async fn unary_unknown(&self, _: Request<EchoRequest>) -> Unary {
        only_unary()
    }

    async fn server_stream(&self, _: Request<EchoRequest>) -> Result<Response<Nothing>, Status> {
        only_unary()
    }

    async fn server_stream_idempotent(
        &self,
        _: Request<EchoRequest>,
    ) -> Result<Response<Nothing>, Status> {
        only_unary()
    }

    async fn client_stream(&self, _: Request<Streaming<EchoRequest>>) -> Unary {
        only_unary()
    }

    async fn bidi_stream(
        &self,
        _: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<Nothing>, Status> {
        only_unary()
    }
}
