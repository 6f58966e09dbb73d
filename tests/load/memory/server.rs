//! A server that reads a first attempt whole and fails it, and answers the others.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use test_protos::EchoServer;
use testing::{EchoService, Server};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// While it is closed the server reads no request.
#[derive(Clone, Default)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn close(&self) {
        self.0.send_replace(false);
    }

    async fn passed(&self) {
        self.0.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

pub(crate) fn fails_first_attempts(gate: &Gate) -> Server {
    let concurrent = tonic::transport::Server::builder().max_concurrent_streams(10_000);
    Server::builder()
        .tonic(concurrent)
        .service(FailsFirst(gate.clone()))
        .in_memory()
}

#[derive(Clone)]
struct FailsFirst(Gate);

impl NamedService for FailsFirst {
    const NAME: &'static str = EchoServer::<EchoService>::NAME;
}

impl Service<Request<Body>> for FailsFirst {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let gate = self.0.clone();
        Box::pin(async move {
            gate.passed().await;
            if request.headers().contains_key("grpc-previous-rpc-attempts") {
                return EchoServer::new(EchoService).call(request).await;
            }
            while request.body_mut().frame().await.is_some() {}
            Ok(Status::unavailable("read and failed").into_http())
        })
    }
}
