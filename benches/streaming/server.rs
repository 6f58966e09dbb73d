//! A tonic server that sends and receives streams and does nothing else, on a thread of its own.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use benches::{Failure, call};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio::runtime::Builder;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::Service;

use crate::call::{Messages, WANTED};

/// Starts it, and says where it is.
pub(crate) fn start() -> Result<String, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = format!("http://{}", listener.local_addr()?);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let server = Server::builder().add_service(Streams);
            server.serve_with_incoming(incoming).await?;
            Ok::<_, Failure>(())
        })
    });
    Ok(address)
}

#[derive(Clone)]
struct Streams;

impl NamedService for Streams {
    const NAME: &'static str = "bench.v1.Streams";
}

impl Service<Request<Body>> for Streams {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(answer(request))
    }
}

async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let wanted = request.headers().get(WANTED);
    let wanted = wanted.and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    let Some(left) = wanted else {
        return Ok(call::response());
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let messages = Messages {
        left,
        trailers: Some(trailers),
    };
    Ok(call::response().map(|_| Body::new(messages)))
}
