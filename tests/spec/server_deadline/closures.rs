//! A server whose handlers are closures, under the layer.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_resilience::deadline::{Deadline, DeadlineLayer};
use grpc_resilience::server_deadline::{ServerDeadlineBody, ServerDeadlineLayer};
use test_protos::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer};
use testing::Server;
use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt as _};
use tonic::body::Body;
use tonic::service::LayerExt as _;
use tonic::{Request, Response, Status, Streaming};
use tower::{Layer as _, ServiceBuilder};
use transports::Channel;

pub(crate) type Reply = Result<EchoResponse, Status>;
pub(crate) type Answers = Pin<Box<dyn Stream<Item = Reply> + Send>>;
type Work = Pin<Box<dyn Future<Output = Result<Answers, Status>> + Send>>;

/// `test.v1.Echo`, whose methods with one request all do the same.
#[derive(Clone)]
pub(crate) struct Front(Arc<dyn Fn(Request<EchoRequest>) -> Work + Send + Sync>);

impl Front {
    /// Answers with one message.
    pub(crate) fn unary<F, W>(handler: F) -> Self
    where
        F: Fn(Request<EchoRequest>) -> W + Send + Sync + 'static,
        W: Future<Output = Reply> + Send + 'static,
    {
        Self::stream(move |request| {
            let work = handler(request);
            async move { Ok(Box::pin(tokio_stream::once(work.await)) as Answers) }
        })
    }

    pub(crate) fn stream<F, W>(handler: F) -> Self
    where
        F: Fn(Request<EchoRequest>) -> W + Send + Sync + 'static,
        W: Future<Output = Result<Answers, Status>> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(handler(request))))
    }

    /// Passes each call on, in the handler's own task.
    pub(crate) fn passing_on(to: &Calls) -> Self {
        let to = to.clone();
        Self::unary(move |request| {
            let mut to = to.clone();
            async move { Ok(to.unary(request.into_inner()).await?.into_inner()) }
        })
    }

    /// In memory, under the layer with its defaults.
    pub(crate) fn serve(self) -> Server {
        self.serve_under(ServerDeadlineLayer::new())
    }

    pub(crate) fn serve_under(self, layer: ServerDeadlineLayer) -> Server {
        let boxed = |response: http::Response<ServerDeadlineBody<_>>| response.map(Body::new);
        let layers = ServiceBuilder::new().map_response(boxed).layer(layer);
        let service = layers.named_layer(EchoServer::new(self));
        Server::builder().service(service).in_memory()
    }

    async fn once(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        let mut answers = (self.0)(request).await?;
        answers.next().await.unwrap().map(Response::new)
    }
}

#[tonic::async_trait]
impl Echo for Front {
    type ServerStreamStream = Answers;
    type ServerStreamIdempotentStream = Answers;
    type BidiStreamStream = Answers;

    async fn unary(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        self.once(request).await
    }

    async fn unary_idempotent(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        self.once(request).await
    }

    async fn unary_no_side_effects(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        self.once(request).await
    }

    async fn unary_unknown(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        self.once(request).await
    }

    async fn server_stream(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<Answers>, Status> {
        (self.0)(request).await.map(Response::new)
    }

    async fn server_stream_idempotent(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<Answers>, Status> {
        (self.0)(request).await.map(Response::new)
    }

    async fn client_stream(
        &self,
        _: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<EchoResponse>, Status> {
        Err(Status::unimplemented("no test of these needs it"))
    }

    async fn bidi_stream(
        &self,
        _: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<Answers>, Status> {
        Err(Status::unimplemented("no test of these needs it"))
    }
}

pub(crate) type Calls = EchoClient<Deadline<Channel>>;

/// A client under a deadline layer without a default.
pub(crate) fn calls_to(server: &Server) -> Calls {
    EchoClient::new(DeadlineLayer::new().layer(server.channel()))
}

/// When work was stopped, since this was made.
#[derive(Clone)]
pub(crate) struct Stops {
    start: Instant,
    times: Arc<Mutex<Vec<Duration>>>,
}

/// Notes the instant of its drop.
pub(crate) struct Guard(Stops);

impl Stops {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            times: Arc::default(),
        }
    }

    pub(crate) fn guard(&self) -> Guard {
        Guard(self.clone())
    }

    pub(crate) fn times(&self) -> Vec<Duration> {
        self.times.lock().unwrap().clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let stopped = self.0.start.elapsed();
        self.0.times.lock().unwrap().push(stopped);
    }
}
